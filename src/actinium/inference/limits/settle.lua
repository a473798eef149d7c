-- A request has ended: what it took is corrected in its own window. KEYS as of acquire.lua.
--
-- ARGV     id, window, span in windows, and for each kind: name, change
--
-- Answers 1, or 0 where the request is not known (any more): then nothing is changed, so that a
-- repeated call corrects once.

if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then
  return 0
end
local second = tonumber(redis.call('TIME')[1])
local span = tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
  local kind, change = ARGV[i], tonumber(ARGV[i + 1])
  local window = tonumber(ARGV[2])
  local from = tonumber(redis.call('HGET', KEYS[1], 'f' .. kind) or second - span + 1)
  if change > 0 then
    window = math.max(window, second - span + 1, from) -- what a window that is over cannot take
  end
  if window >= from then
    local field = kind .. ':' .. string.format('%d', window)
    if change < 0 then
      change = math.max(change, -tonumber(redis.call('HGET', KEYS[1], field) or 0))
    end
    redis.call('HINCRBY', KEYS[1], field, change)
    redis.call('HINCRBY', KEYS[1], 't' .. kind, change)
    redis.call('HSETNX', KEYS[1], 'f' .. kind, second - span + 1)
    redis.call('PEXPIRE', KEYS[1], (span + 60) * 1000)
  end
end
return 1
