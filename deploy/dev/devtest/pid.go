package devtest

// PID is the process ID of broker i; 0 when it is down.
func (k *Kafka) PID(i int) int { return k.servers[i].pid() }
