package linux

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// SocketPair returns the two ends of a SOCK_SEQPACKET connection.
func SocketPair() (a, b *Handle, err error) {
	var fds [2]int
	err = call("socketpair", func() (err error) {
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return NewHandle(fds[0], "socket"), NewHandle(fds[1], "socket"), nil
}

// SendPacket sends one packet with descriptors, which stay the caller's.
func SendPacket(sock *Handle, data []byte, files []*Handle) error {
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = f.Fd()
		}
		rights = unix.UnixRights(fds...)
	}
	defer runtime.KeepAlive(files)
	defer runtime.KeepAlive(sock)
	return call("sendmsg", func() error {
		return unix.Sendmsg(sock.Fd(), data, rights, nil, unix.MSG_NOSIGNAL)
	})
}

// ReceivePacket waits for one packet of at most len(buf) bytes and maxFiles descriptors. n is 0 at the end of the
// stream; truncated says that something didn't fit.
func ReceivePacket(sock *Handle, buf []byte, maxFiles int) (n int, files []*Handle, truncated bool, err error) {
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	var oobn, flags int
	err = call("recvmsg", func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(sock.Fd(), buf, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	runtime.KeepAlive(sock)
	if err != nil {
		return 0, nil, false, err
	}
	return n, parseRights(oob[:oobn]), flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0, nil
}

func parseRights(oob []byte) []*Handle {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var files []*Handle
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, NewHandle(fd, "received"))
		}
	}
	return files
}
