// Package md5 is MD5 sums (RFC 1321), which pam_namespace makes instance names of and by which its namespace.init is
// known. They protect nothing. It isn't crypto/md5, whose package brings 32 MiB of zeroed writable memory into every
// process that loads pam_gons.so (Go 1.26, crypto/internal/fips140/drbg); the tests hold it against that.
package md5

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
)

// Hex returns the sum of s in lower-case hexadecimal.
func Hex(s string) string {
	state := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	data := append([]byte(s), 0x80)
	for len(data)%64 != 56 {
		data = append(data, 0)
	}
	data = binary.LittleEndian.AppendUint64(data, uint64(len(s))*8)
	for ; len(data) > 0; data = data[64:] {
		addBlock(&state, data[:64])
	}
	var sum []byte
	for _, word := range state {
		sum = binary.LittleEndian.AppendUint32(sum, word)
	}
	return hex.EncodeToString(sum)
}

// shifts are the rotations of each round of sixteen steps.
var shifts = [4][4]int{{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}

func addBlock(state *[4]uint32, block []byte) {
	a, b, c, d := state[0], state[1], state[2], state[3]
	for i := range 64 {
		var f uint32
		var word int
		switch i / 16 {
		case 0:
			f, word = b&c|^b&d, i
		case 1:
			f, word = d&b|^d&c, (5*i+1)%16
		case 2:
			f, word = b^c^d, (3*i+5)%16
		case 3:
			f, word = c^(b|^d), 7*i%16
		}
		constant := uint32(math.Abs(math.Sin(float64(i+1))) * (1 << 32))
		f += a + constant + binary.LittleEndian.Uint32(block[4*word:])
		a, d, c, b = d, c, b, b+bits.RotateLeft32(f, shifts[i/16][i%4])
	}
	state[0] += a
	state[1] += b
	state[2] += c
	state[3] += d
}
