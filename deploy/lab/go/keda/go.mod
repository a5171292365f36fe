// The kinds of objects that KEDA adds to a cluster.
module so1s.dev/lab/keda

go 1.26.0

require github.com/kedacore/keda/v2 v2.21.0
