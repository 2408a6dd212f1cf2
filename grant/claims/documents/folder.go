package documents

import (
	"bytes"
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

// ownerFile says of which database a folder has the documents.
const ownerFile = "database"

var (
	blobName  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	shardName = regexp.MustCompile(`^[0-9a-f]{2}$`)
	halfName  = regexp.MustCompile(`^[0-9a-f]{2}/incoming-[0-9]+$`)
)

func (f Folder) path(name string) (string, error) {
	switch {
	case blobName.MatchString(name):
		return filepath.Join(string(f), name[:2], name), nil
	case halfName.MatchString(name):
		return filepath.Join(string(f), filepath.FromSlash(name)), nil
	}
	return "", fmt.Errorf("%.80q is no name of a document", name)
}

// Owner implements Blobs.
func (f Folder) Owner() (string, error) {
	database, err := os.ReadFile(filepath.Join(string(f), ownerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(bytes.TrimSpace(database)), err
}

// Own implements Blobs.
func (f Folder) Own(database string) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	return f.write(filepath.Join(string(f), ownerFile), []byte(database+"\n"))
}

// Put implements Blobs.
func (f Folder) Put(name string, data []byte) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, fs.ErrNotExist): // the first of all
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, fs.ErrExist):
		return err
	}
	if err := syncFolder(string(f)); err != nil { // another process may just have made the folder in it
		return err
	}
	return f.write(path, data)
}

// write writes a file whole or not at all.
func (f Folder) write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, "incoming-*")
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if gone := os.Remove(file.Name()); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
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

// List implements Blobs. What else is in the folder, such as the lost+found of a disk, is nobody's document.
func (f Folder) List() ([]Blob, error) {
	shards, err := os.ReadDir(string(f))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []Blob
	for _, shard := range shards {
		if !shard.IsDir() || !shardName.MatchString(shard.Name()) {
			continue
		}
		files, err := os.ReadDir(filepath.Join(string(f), shard.Name()))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			b := Blob{Name: file.Name()}
			if !blobName.MatchString(b.Name) {
				b = Blob{Name: shard.Name() + "/" + file.Name(), Half: true}
				if !halfName.MatchString(b.Name) {
					continue
				}
			}
			info, err := file.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // another process was faster
			}
			if err != nil {
				return nil, err
			}
			b.At = info.ModTime()
			out = append(out, b)
		}
	}
	return out, nil
}

// Blob is one of those that are there.
type Blob struct {
	Name string
	At   time.Time // when it was put
	Half bool      // it is being put, or was when a process died
}
