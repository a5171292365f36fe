// Command pause holds a pod's namespaces until it is told to end. With an address as its argument it also answers
// every HTTP request with its host's name, which makes it the smallest server that a pod can run.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 {
		go serve(os.Args[1])
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}

func serve(address string) {
	name, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("%s answers on %s", name, address)
	answer := func(response http.ResponseWriter, _ *http.Request) { fmt.Fprintln(response, name) }
	log.Fatal(http.ListenAndServe(address, http.HandlerFunc(answer)))
}
