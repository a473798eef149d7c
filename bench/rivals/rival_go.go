// Rival: Go, one goroutine and one buffered channel (128 places) per actor. Channels block when
// full, so a sender can never be further ahead; there is no supervision.
//
//	GOMAXPROCS=1 build/rivals/rival_go WORKLOAD N
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	mailbox = 128
	ringN   = 503
	pairsN  = 1000
	waits   = 10
	wait    = 10 * time.Millisecond
)

type message struct {
	value int
	reply chan int
}

func resident() int {
	text, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			kb, _ := strconv.Atoi(strings.Fields(line)[1])
			return kb * 1024
		}
	}
	return 0
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func counter(in chan message, want int, done *sync.WaitGroup) {
	n := 0
	for m := range in {
		if m.reply != nil {
			m.reply <- n
			continue
		}
		n++
		if n == want {
			done.Done()
		}
	}
}

func flood(n, senders int) time.Duration {
	var done sync.WaitGroup
	done.Add(1)
	to := make(chan message, mailbox)
	go counter(to, n/senders*senders, &done)
	start := make(chan bool)
	for i := 0; i < senders; i++ {
		go func() {
			<-start
			for j := 0; j < n/senders; j++ {
				to <- message{value: j}
			}
		}()
	}
	began := time.Now()
	close(start)
	done.Wait()
	return time.Since(began)
}

func asks(n, pairs int) time.Duration {
	var done sync.WaitGroup
	done.Add(pairs)
	start := make(chan bool)
	for i := 0; i < pairs; i++ {
		to := make(chan message, mailbox)
		go func() {
			for m := range to {
				m.reply <- m.value
			}
		}()
		go func() {
			<-start
			reply := make(chan int, 1)
			for j := 0; j < n/pairs; j++ {
				to <- message{j, reply}
				<-reply
			}
			done.Done()
		}()
	}
	began := time.Now()
	close(start)
	done.Wait()
	return time.Since(began)
}

func ring(n int) time.Duration {
	nodes := make([]chan int, ringN)
	for i := range nodes {
		nodes[i] = make(chan int, mailbox)
	}
	var done sync.WaitGroup
	done.Add(1)
	for i := range nodes {
		go func(in, out chan int) {
			for k := range in {
				if k == 0 {
					done.Done()
				} else {
					out <- k - 1
				}
			}
		}(nodes[i], nodes[(i+1)%ringN])
	}
	began := time.Now()
	nodes[0] <- n
	done.Wait()
	return time.Since(began)
}

func timers(n int) time.Duration {
	var done sync.WaitGroup
	done.Add(n)
	inboxes := make([]chan int, n)
	for i := range inboxes {
		inboxes[i] = make(chan int, 2*waits)
		go func(in chan int) {
			for j := 0; j < waits; j++ {
				<-in
				time.Sleep(wait)
			}
			done.Done()
		}(inboxes[i])
	}
	began := time.Now()
	for _, in := range inboxes {
		for j := 0; j < waits; j++ {
			in <- j
		}
	}
	done.Wait()
	return time.Since(began)
}

func spawn(n int) (time.Duration, int) {
	inboxes := make([]chan message, n)
	before := resident()
	began := time.Now()
	for i := range inboxes {
		inboxes[i] = make(chan message, 1) // the least a goroutine with a mailbox takes
		go counter(inboxes[i], -1, nil)
	}
	reply := make(chan int)
	inboxes[n-1] <- message{0, reply}
	<-reply
	took := time.Since(began)
	debug.FreeOSMemory()
	bytes := (resident() - before) / n
	for _, in := range inboxes {
		close(in)
	}
	return took, bytes
}

func run(workload string, n int) (took time.Duration, extra string) {
	switch workload {
	case "tell":
		took = flood(n, 1)
	case "fanin":
		took = flood(n, pairsN)
	case "ask1":
		took = asks(n, 1)
	case "ask1000":
		took = asks(n, pairsN)
	case "ring":
		took = ring(n)
	case "timer":
		took = timers(n)
		extra = fmt.Sprintf(`, "times_ideal": %.3f`, took.Seconds()/(waits*wait).Seconds())
	case "spawn":
		var bytes int
		took, bytes = spawn(n)
		extra = fmt.Sprintf(`, "bytes_beyond_object": %d`, bytes)
	default:
		fmt.Fprintf(os.Stderr, "unknown workload %q\n", workload)
		os.Exit(2)
	}
	return took, extra
}

func main() {
	workload := os.Args[1]
	n, err := strconv.Atoi(os.Args[2])
	if err != nil || n < 1 {
		fmt.Fprintf(os.Stderr, "usage: rival_go WORKLOAD N, got %q\n", os.Args[1:])
		os.Exit(2)
	}
	warm := n / 10
	if warm < pairsN || workload == "spawn" {
		warm = pairsN
	}
	if warm > n {
		warm = n
	}
	run(workload, warm)
	runtime.GC()
	cpuBegan := cpuTime()
	took, extra := run(workload, n)
	onCore := (cpuTime() - cpuBegan).Seconds() / took.Seconds() // with what run sets up
	if onCore > 1 {
		onCore = 1
	}
	handled := n
	if workload == "timer" {
		handled *= waits
	}
	fmt.Printf(`{"workload": "%s", "n": %d, "seconds": %.6f, "rate": %.1f, "on_core": %.3f, "version": "%s"%s}`+"\n",
		workload, n, took.Seconds(), float64(handled)/took.Seconds(), onCore, runtime.Version(), extra)
}
