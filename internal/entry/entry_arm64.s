#include "textflag.h"

// gons_entry is the program's first instruction. SP points to what the kernel left there, which the runtime needs as it
// is; no other register carries anything.
TEXT gons_entry(SB), NOSPLIT|NOFRAME, $0
	SUB  $64, RSP
	MOVD $1, R9
	MOVD R9, ·ran(SB)
	MOVD $1, R20
	MOVD $0, R21

signal: // rt_sigaction(R20, NULL, RSP, 8); the handler is the first word, SIG_IGN is 1
	MOVD R20, R0
	MOVD $0, R1
	MOVD RSP, R2
	MOVD $8, R3
	MOVD $134, R8
	SVC
	MOVD 0(RSP), R9
	CMP  $1, R9
	BNE  next
	SUB  $1, R20, R10
	MOVD $1, R11
	LSL  R10, R11, R11
	ORR  R11, R21, R21

next:
	ADD $1, R20
	CMP $65, R20
	BNE signal
	MOVD R21, ·ignored(SB)

	// rt_sigprocmask(SIG_BLOCK, NULL, &blocked, 8)
	MOVD $0, R0
	MOVD $0, R1
	MOVD $·blocked(SB), R2
	MOVD $8, R3
	MOVD $135, R8
	SVC

	// prlimit64(0, RLIMIT_NOFILE, NULL, &nofile)
	MOVD $0, R0
	MOVD $7, R1
	MOVD $0, R2
	MOVD $·nofile(SB), R3
	MOVD $261, R8
	SVC

	ADD $64, RSP
	B   _rt0_arm64_linux(SB)

// func askLimits()
TEXT ·askLimits(SB), NOSPLIT, $0-0
	MOVD $0, R0
	MOVD $7, R1
	MOVD $0, R2
	MOVD $·nofile(SB), R3
	MOVD $261, R8
	SVC
	RET
