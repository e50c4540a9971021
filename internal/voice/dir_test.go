package voice_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/teamtalk-go/dbproxy/internal/chat"
	"github.com/teamtalk-go/dbproxy/internal/voice"
)

func open(t *testing.T, name string) *voice.Dir {
	t.Helper()
	d, err := voice.OpenDir(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func save(t *testing.T, d *voice.Dir, sound []byte) (path string) {
	t.Helper()
	path, err := d.Save(t.Context(), sound)
	if err != nil {
		t.Fatal(err)
	}
	if len(path) > 255 || path == "" {
		t.Errorf("path %q does not fit its column", path)
	}
	return path
}

func wantKind(t *testing.T, what string, err error, want chat.Kind) {
	t.Helper()
	if err == nil || chat.KindOf(err) != want {
		t.Errorf("%s: error %v, want one of kind %s", what, err, want)
	}
}

func TestSoundsComeBackByteForByteAlsoAfterReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	sounds := [][]byte{[]byte("sound"), {0}, {0, 255, 10, 13}, bytes.Repeat([]byte("long"), 1<<20),
		[]byte("sound")}
	var paths []string
	d := open(t, dir)
	for _, s := range sounds {
		paths = append(paths, save(t, d, s))
	}
	for _, d := range []*voice.Dir{d, open(t, dir)} {
		for i, path := range paths {
			if got, err := d.Load(t.Context(), path); err != nil || !bytes.Equal(got, sounds[i]) {
				t.Errorf("sound %d: %d bytes, %v", i, len(got), err)
			}
		}
	}
}

func TestEqualSoundsHavePathsOfTheirOwn(t *testing.T) {
	d := open(t, t.TempDir())
	a, b := save(t, d, []byte("same")), save(t, d, []byte("same"))
	if a == b {
		t.Fatalf("both are %s", a)
	}
	if err := d.Discard(t.Context(), a); err != nil {
		t.Error(err)
	}
	if got, err := d.Load(t.Context(), b); err != nil || string(got) != "same" {
		t.Errorf("after the other was removed: %q, %v", got, err)
	}
	_, err := d.Load(t.Context(), a)
	wantKind(t, "a removed one", err, chat.NotFound)
}

func TestSoundsThatAreNotThereAreNotFound(t *testing.T) {
	d := open(t, t.TempDir())
	save(t, d, []byte("sound"))
	for _, path := range []string{"no/such.audio", "none.audio", "a/b/c/d"} {
		_, err := d.Load(t.Context(), path)
		wantKind(t, path, err, chat.NotFound)
	}
}

func TestPathsThatLeadOutsideAreRefused(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(outside, "voice")
	d := open(t, dir)
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "up")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../secret", "x/../../secret", secret, "/etc/passwd", "link",
		"up/secret", "..", ".", "", "http://127.0.0.1/x.audio", "a\x00b"} {
		if got, err := d.Load(t.Context(), path); err == nil {
			t.Errorf("%q gave %q", path, got)
		}
		if strings.Contains(path, "secret") {
			if err := d.Discard(t.Context(), path); err == nil {
				t.Errorf("%q was removed", path)
			}
		}
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("the file outside is %q, %v", got, err)
	}
}

func TestASoundThatCannotBeWrittenIsUnavailableAndLeavesNothing(t *testing.T) {
	if os.Getuid() == 0 {
		t.Log("as root there is no directory that cannot be written; one that is gone serves")
	}
	dir := filepath.Join(t.TempDir(), "voice")
	d := open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	_, err := d.Save(t.Context(), []byte("sound"))
	wantKind(t, "a directory that is gone", err, chat.Unavailable)
	wantKind(t, "removing from it", d.Discard(t.Context(), "no/such.audio"), chat.Unavailable)
}

func TestManySoundsAreSavedSideBySide(t *testing.T) {
	d := open(t, t.TempDir())
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			sound := fmt.Sprint("sound ", i)
			path, err := d.Save(t.Context(), []byte(sound))
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := d.Load(t.Context(), path); err != nil || string(got) != sound {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	all.Wait()
}

func TestAFileInThePlaceOfTheDirectoryIsNotOpened(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := voice.OpenDir(name); err == nil {
		d.Close()
		t.Error("opened")
	}
}
