package wire

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gons/internal/linux"
)

// The two halves are compared by reading the other one: a kind that is changed in one place only must not pass.
func TestKindsAreThoseOfTheGate(t *testing.T) {
	header, err := os.ReadFile("../../pam_gons/wire.h")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, m := range regexp.MustCompile(`GONS_([A-Z_]+) = (\d+)`).FindAllStringSubmatch(string(header), -1) {
		got[m[1]], _ = strconv.Atoi(m[2])
	}
	want := map[string]int{
		"MESSAGE_MAX": MaxMessage, "FILES_MAX": MaxFiles, "REQUEST": int(Request), "ANSWER": int(Answer),
		"LOG": int(Log), "USER": int(User), "GROUP": int(Group), "UNSHARE": int(Unshare), "DONE": int(Done),
		"UID": int(UID), "ENTER": int(Enter), "ENV": int(Env),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("wire.h has %v, wire.go has %v", got, want)
	}
}

func TestEncodeDecode(t *testing.T) {
	for _, m := range []Message{
		{Kind: Request},
		{Kind: Done, Arg: -14, Strings: []string{""}},
		{Kind: Log, Arg: 3, Strings: []string{"a b", "", "c=d"}},
	} {
		b, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("Decode(Encode(%v)) = %v, %v", m, got, err)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, m := range map[string]Message{
		"a NUL":     {Strings: []string{"a\x00b"}},
		"too large": {Strings: []string{strings.Repeat("x", MaxMessage)}},
	} {
		if _, err := Encode(m); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, b := range []string{"", "1234567", "12345678unterminated"} {
		if m, err := Decode([]byte(b)); err == nil {
			t.Errorf("Decode(%q) = %v", b, m)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("12345678key=value\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Encode(m)
		if len(b) <= MaxMessage && (err != nil || string(again) != string(b)) {
			t.Errorf("Decode(%q) is %v, which encodes as %q, %v", b, m, again, err)
		}
	})
}

func TestFilesTravel(t *testing.T) {
	a, b, err := linux.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	left, right := NewConn(a), NewConn(b)
	defer right.Close()
	root, err := linux.OpenRoot()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := left.Send(Message{Kind: Answer, Strings: []string{"/"}, Files: []*linux.Handle{root, root}}); err != nil {
		t.Fatal(err)
	}
	m, err := right.Receive()
	if err != nil || len(m.Files) != 2 {
		t.Fatalf("received %v, %v", m, err)
	}
	want, _ := root.Stat()
	for _, f := range m.Files {
		if got, err := f.Stat(); err != nil || !got.SameFile(want) {
			t.Errorf("a received descriptor is %v, %v, want %v", got, err, want)
		}
		f.Close()
	}
	left.Close()
	if _, err := right.Receive(); err != ErrClosed {
		t.Errorf("after the other side closed: %v", err)
	}
}
