package documents

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/granter/granter/grant/claims/store"
)

// Folder keeps blobs as files, in folders by the first two digits of their names.
type Folder string

var blobName = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (f Folder) path(name string) (string, error) {
	if !blobName.MatchString(name) {
		return "", fmt.Errorf("%.80q is no name of a document", name)
	}
	return filepath.Join(string(f), name[:2], name), nil
}

// Put implements Blobs.
func (f Folder) Put(name string, data []byte) (err error) {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, "incoming-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder makes a name in a folder survive a power failure.
func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // of our own making
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements Blobs.
func (f Folder) Get(name string) ([]byte, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path) //nolint:gosec // its name is one of ours
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, store.ErrNotFound)
	}
	return data, err
}

// Delete implements Blobs.
func (f Folder) Delete(name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Old implements Blobs. What a process left that died while it wrote is deleted on the way.
func (f Folder) Old(before time.Time) ([]string, error) {
	var out []string
	err := filepath.WalkDir(string(f), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process was faster
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case info.ModTime().After(before):
		case blobName.MatchString(d.Name()):
			out = append(out, d.Name())
		default:
			if matched, err := filepath.Match("incoming-*", d.Name()); err != nil || matched {
				return errors.Join(err, os.Remove(path)) //nolint:gosec // the folder is granter's own
			}
		}
		return nil
	})
	return out, err
}
