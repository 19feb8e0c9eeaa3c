// SPDX-License-Identifier: Apache-2.0

// scrape-go reads a pinned map of pairs and serves it as a Go exporter does: cilium/ebpf's iterator,
// one constant metric a series, client_golang's registry, its text encoder, gzip. Prints one line
// for nfbpf-bench-scrape: processor seconds of read, model, render, gzip; wall seconds to the first
// and the last byte; peak RSS in MB; bytes of the page and of gzip.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o scrape-go ./bench/scrape-go
package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

type value struct{ Packets, Bytes uint64 }

type pair struct {
	key            [12]byte
	packets, bytes uint64
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "scrape-go:", err)
	os.Exit(1)
}

func processor() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func readPairs(m *ebpf.Map) []pair {
	var pairs []pair
	var key [12]byte
	var values []value
	rows := m.Iterate()
	for rows.Next(&key, &values) {
		p := pair{key: key}
		for _, v := range values {
			p.packets += v.Packets
			p.bytes += v.Bytes
		}
		pairs = append(pairs, p)
	}
	if err := rows.Err(); err != nil {
		fail(err)
	}
	return pairs
}

var labels = []string{"source", "destination", "direction", "protocol"}

type collector struct {
	pairs          []pair
	packets, bytes *prometheus.Desc
}

func (c *collector) Describe(out chan<- *prometheus.Desc) { out <- c.packets; out <- c.bytes }
func (c *collector) Collect(out chan<- prometheus.Metric) {
	for i := range c.pairs {
		p := &c.pairs[i]
		source, destination := net.IP(p.key[4:8]).String(), net.IP(p.key[8:12]).String()
		out <- prometheus.MustNewConstMetric(c.packets, prometheus.CounterValue, float64(p.packets), source, destination, "out", "udp")
		out <- prometheus.MustNewConstMetric(c.bytes, prometheus.CounterValue, float64(p.bytes), source, destination, "out", "udp")
	}
}

type counting struct {
	to    io.Writer
	start time.Time
	first float64
	bytes int64
}

func (c *counting) Write(b []byte) (int, error) {
	if c.bytes == 0 {
		c.first = time.Since(c.start).Seconds()
	}
	c.bytes += int64(len(b))
	return c.to.Write(b)
}

// The encoder's time without the compressor's.
type timed struct {
	to      io.Writer
	seconds float64
	bytes   int64
	pending []byte
}

func (t *timed) Write(b []byte) (int, error) {
	t.bytes += int64(len(b))
	t.pending = append(t.pending, b...)
	if len(t.pending) < 1<<16 {
		return len(b), nil
	}
	return len(b), t.flush()
}

func (t *timed) flush() error {
	before := processor()
	_, err := t.to.Write(t.pending)
	t.seconds += processor() - before
	t.pending = t.pending[:0]
	return err
}

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: scrape-go PIN"))
	}
	m, err := ebpf.LoadPinnedMap(os.Args[1], &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		fail(err)
	}
	start, at := time.Now(), processor()
	pairs := readPairs(m)
	now := processor()
	read := now - at

	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{pairs,
		prometheus.NewDesc("nfbpf_source_destination_packets_total", "x", labels, nil),
		prometheus.NewDesc("nfbpf_source_destination_bytes_total", "x", labels, nil)})
	families, err := registry.Gather()
	if err != nil {
		fail(err)
	}
	at, now = now, processor()
	model := now - at

	out := &counting{to: io.Discard, start: start}
	packed := gzip.NewWriter(out)
	plain := &timed{to: packed}
	encoder := expfmt.NewEncoder(plain, expfmt.FmtText)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			fail(err)
		}
	}
	if err := plain.flush(); err != nil {
		fail(err)
	}
	before := processor()
	if err := packed.Close(); err != nil {
		fail(err)
	}
	plain.seconds += processor() - before
	at, now = now, processor()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	fmt.Println(read, model, now-at-plain.seconds, plain.seconds, out.first, time.Since(start).Seconds(),
		float64(usage.Maxrss)/1024, plain.bytes, out.bytes)
}
