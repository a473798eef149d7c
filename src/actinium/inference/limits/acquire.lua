-- Takes a request's need of all limits at once, or nothing (LM-3).
--
-- KEYS[1]  hash: per kind k the total "t<k>" of the windows from "f<k>" on, and "<k>:<window>"
-- KEYS[2]  sorted set: the requests under way, by the millisecond after which they are forgotten
-- ARGV     id, milliseconds a request may last, requests at once (0: any number), span in windows,
--          and for each kind: name, limit, amount
--
-- Answers {1, window, 0, total ...} or {0, milliseconds to wait (-1: until a request ends), those
-- of them that no request's end can shorten, total ...}.
-- A window is a second of this server's clock. A second call with one id takes nothing more.

local time = redis.call('TIME')
local second, ms = tonumber(time[1]), tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local id, lasts, most, span = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local first = second - span + 1

if redis.call('ZSCORE', KEYS[2], id) then
  return {1, second, 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms)
if most > 0 and redis.call('ZCARD', KEYS[2]) >= most then
  return {0, -1, 0}
end

local longest, sure, totals = 0, 0, {}
for i = 5, #ARGV, 3 do
  local kind, limit, amount = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local total = tonumber(redis.call('HGET', KEYS[1], 't' .. kind) or 0)
  local from = tonumber(redis.call('HGET', KEYS[1], 'f' .. kind) or first)
  if from < first then
    for window = from, math.min(first - 1, from + span - 1) do
      local field = kind .. ':' .. string.format('%d', window)
      local count = redis.call('HGET', KEYS[1], field)
      if count then
        total = total - tonumber(count)
        redis.call('HDEL', KEYS[1], field)
      end
    end
    redis.call('HSET', KEYS[1], 'f' .. kind, first, 't' .. kind, total)
  end
  totals[#totals + 1] = total
  -- More than the whole limit goes when nothing else is used.
  local missing = total + math.min(amount, limit) - limit
  if missing > 0 then
    local wait = span * 1000
    for window = first, second do
      missing = missing - tonumber(
        redis.call('HGET', KEYS[1], kind .. ':' .. string.format('%d', window)) or 0)
      if missing <= 0 then
        wait = (window + span) * 1000 - ms
        break
      end
    end
    longest = math.max(longest, wait, 1)
    if kind == 'rpm' then -- tokens may be given back, a request that was sent is not
      sure = wait
    end
  end
end
if longest > 0 then
  return {0, longest, sure, unpack(totals)}
end

local answer = {1, second, 0}
for i = 5, #ARGV, 3 do
  local kind, amount = ARGV[i], tonumber(ARGV[i + 2])
  redis.call('HINCRBY', KEYS[1], kind .. ':' .. string.format('%d', second), amount)
  redis.call('HSETNX', KEYS[1], 'f' .. kind, first)
  answer[#answer + 1] = redis.call('HINCRBY', KEYS[1], 't' .. kind, amount)
end
redis.call('ZADD', KEYS[2], ms + lasts, id)
redis.call('PEXPIRE', KEYS[1], (span + 60) * 1000)
if redis.call('PTTL', KEYS[2]) < lasts then
  redis.call('PEXPIRE', KEYS[2], lasts)
end
return answer
