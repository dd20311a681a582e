package vm

// This file is about what a machine is made of before it boots: the cached
// image of a Debian suite, and the files that a test lays over it.

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Image is a Debian system as a directory tree. Machines never change it.
type Image struct {
	top string // of this repository
	dir string // build/vm/SUITE
}

// File is a file to lay over an image. Directories above it are made as
// needed; the owner is root. A Mode with fs.ModeDir makes a directory.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
}

// BuildImage returns the image of a Debian suite (trixie, bookworm). The first
// call takes about half a minute; the result is kept in build/vm.
func BuildImage(suite string) (*Image, error) { return buildImage(suite, suite) }

// BuildDesktop returns an image that has packages for graphical logins, too.
func BuildDesktop(suite string) (*Image, error) {
	return buildImage(suite, suite+"-desktop", desktopPackages...)
}

// desktopPackages are a host of graphical logins, an X server that draws in
// memory, and what its sessions need.
var desktopPackages = []string{"xrdp", "tigervnc-standalone-server", "lightdm", "xvfb", "xauth", "x11-utils"}

// buildImage makes build/vm/NAME.
func buildImage(suite, name string, packages ...string) (*Image, error) {
	top, err := Repository()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(top, "build", "vm", name)
	script := filepath.Join(top, "tests", "vm", "image.sh")
	if output, err := exec.Command(script, append([]string{suite, dir}, packages...)...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the image of %s: %w\n%s", suite, err, output)
	}
	return &Image{top: top, dir: dir}, nil
}

// Repository returns the top directory of this repository.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		dir = filepath.Dir(dir)
	}
	return "", errors.New("cannot find go.mod in the working directory or above it")
}

// Root returns the directory that is the image's /.
func (i *Image) Root() string { return filepath.Join(i.dir, "root") }

// Append returns a copy of the image's file at path with text at its end. A
// PAM service that is only in the vendor's directory is looked for there.
func (i *Image) Append(path, text string) (File, error) {
	content, err := os.ReadFile(filepath.Join(i.Root(), path))
	if errors.Is(err, fs.ErrNotExist) {
		vendor := strings.Replace(path, "/etc/pam.d/", "/usr/lib/pam.d/", 1)
		content, err = os.ReadFile(filepath.Join(i.Root(), vendor))
	}
	if err != nil {
		return File{}, fmt.Errorf("cannot read %s of the image: %w", path, err)
	}
	return File{Path: path, Mode: 0o644, Content: append(content, text...)}, nil
}

// ModuleDir returns the directory of the image that PAM loads modules from.
func (i *Image) ModuleDir() (string, error) {
	found, err := filepath.Glob(filepath.Join(i.Root(), "usr/lib/*/security/pam_unix.so"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("cannot tell the PAM module directory of %s: found %q", i.Root(), found)
	}
	return strings.TrimPrefix(filepath.Dir(found[0]), i.Root()), nil
}

// hold keeps image.sh from rebuilding the image until the file is closed.
func (i *Image) hold() (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(i.dir, "lock"), os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH); err != nil {
		lock.Close()
		return nil, fmt.Errorf("cannot lock the image %s: %w", i.dir, err)
	}
	return lock, nil
}

// archive packs files for boot.sh.
func archive(files []File) ([]byte, error) {
	var out bytes.Buffer
	tape := tar.NewWriter(&out)
	for _, file := range files {
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     strings.TrimPrefix(file.Path, "/"),
			Mode:     int64(file.Mode.Perm()),
			Size:     int64(len(file.Content)),
			ModTime:  time.Now(),
		}
		if file.Mode.IsDir() {
			header.Typeflag = tar.TypeDir
		}
		if err := tape.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("cannot pack %s: %w", file.Path, err)
		}
		if _, err := tape.Write(file.Content); err != nil {
			return nil, fmt.Errorf("cannot pack %s: %w", file.Path, err)
		}
	}
	if err := tape.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
