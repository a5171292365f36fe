// Command so1s-broker serves the Kafka protocol on one address: the broker of a laptop and of tests.
//
// It stands on kfake, the broker of the franz-go client. With a data directory, what CreateTopics made, its
// messages and its commits outlive the process, kill -9 included. Topics that come into being by mere use do
// not, so there are none: a topic must be created before it is written to.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

type settings struct {
	listen     string
	dataDir    string
	syncWrites bool
}

func main() {
	if err := run(parse()); err != nil {
		fmt.Fprintln(os.Stderr, "so1s-broker:", err)
		os.Exit(1)
	}
}

// parse reads the command line; a flag that it does not know ends the process with the usage and status 2.
func parse() settings {
	var s settings
	flag.StringVar(&s.listen, "listen", "127.0.0.1:9092", "serve on `HOST:PORT`, which clients are told too; port 0 takes a free one")
	flag.StringVar(&s.dataDir, "data-dir", "", "keep topics, messages and commits in `DIR`; without it they live in memory")
	flag.BoolVar(&s.syncWrites, "sync-writes", false, "sync every batch to the disk, to outlive a loss of power too (a quarter of the speed)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(flag.CommandLine.Output(), "unexpected argument %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	return s
}

// run serves until SIGTERM or SIGINT; a second signal ends the process at once.
func run(s settings) error {
	if err := checkListen(s.listen); err != nil {
		return err
	}
	if s.syncWrites && s.dataDir == "" {
		return errors.New("--sync-writes needs --data-dir")
	}
	// Before the ready line: whoever has read it may send a signal.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	unlock, err := lock(s.dataDir)
	if err != nil {
		return err
	}
	defer unlock()
	cluster, err := kfake.NewCluster(s.options()...)
	if err != nil {
		return err
	}
	fmt.Println("ready", cluster.ListenAddrs()[0])
	<-signals
	signal.Stop(signals)
	cluster.Close()
	return nil
}

func (s settings) options() []kfake.Opt {
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, s.listen) }),
		kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelError)),
	}
	if s.dataDir != "" {
		options = append(options, kfake.DataDir(s.dataDir))
	}
	if s.syncWrites {
		options = append(options, kfake.SyncWrites())
	}
	return options
}

// checkListen refuses what no client could connect to: the address is what clients are told.
func checkListen(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: not HOST:PORT", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("--listen %s: clients are told this address, so it must name one host", listen)
	}
	return nil
}

// lock takes the data directory for this process alone: two writers would mix their logs. The kernel frees it
// however the process ends.
func lock(dataDir string) (unlock func(), err error) {
	if dataDir == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dataDir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("--data-dir %s: another broker uses it (%w)", dataDir, err)
	}
	return func() { file.Close() }, nil
}
