//! The stand: real containerd and runc, stand-ins for the API server and the kubelet's front,
//! a PKI and the OpenSSH clients. Each part is a value on free ports that stops when dropped.

