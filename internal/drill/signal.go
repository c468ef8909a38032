package drill

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// ErrDenied is the error of a connection that the cluster's owner does not allow.
var ErrDenied = errors.New("the cluster's owner does not allow this address")

// NetworkSignal names the way in which a connection failed; SignalError when it is none of the ways that have a name.
func NetworkSignal(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, ErrDenied):
		return SignalDenied
	case errors.As(err, &dns):
		return SignalDNS
	case errors.As(err, &certificate), errors.As(err, &header):
		return SignalTLS
	case errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // what crypto/tls calls an alert
		return SignalTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return SignalRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return SignalReset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return SignalUnreach
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return SignalTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return SignalClosed
	}
	return SignalError
}
