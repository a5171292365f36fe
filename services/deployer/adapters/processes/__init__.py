"""The parts of `cluster_processes`: a small Kubernetes of this machine's processes.

layout     an image of an OCI layout → unpacked layers
launcher   unpacked layers → a running process
process    a process, known by more than its pid
prober     what a replica answers to probes
replica    one replica: started, probed, restarted, drained (a kubelet)
fleet      the replicas of one deployment: which are as they are to be (a replica set)
controller one deployment: rolled over and scaled (the deployment controller and the autoscaler)
scraper    what the autoscaler reads
world      the files that others read (the API server)
"""
