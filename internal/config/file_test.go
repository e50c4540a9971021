package config

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
)

// fileOf is a file with that text and mode, whatever the umask.
func fileOf(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), File)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600),
		os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// inUTF16 is text in UTF-16, in an order of bytes.
func inUTF16(text string, order binary.AppendByteOrder) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

// TestUTF16IsNamed, be it a configuration or a secret's file, with a byte order mark or without.
func TestUTF16IsNamed(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{
		"little": binary.LittleEndian, "big": binary.BigEndian,
	} {
		for _, text := range []string{original, "\ufeff" + original, "\ufeff密码", "密码\n" +
			original} {
			wide := inUTF16(text, order)
			path := fileOf(t, wide, 0o600)
			if _, _, err := Load(path, nil, nil); err == nil ||
				err.Error() != "cannot read the configuration: "+path+
					" is text in UTF-16, which Windows calls Unicode; save it as UTF-8" {
				t.Errorf("%s endian: %v", name, err)
			}
			_, _, err := load(File, []byte(original),
				[]string{"DBPROXY_TEAMTALK_MASTER_PASSWORD_FILE=" + path})
			if err == nil || !strings.Contains(err.Error(), "is text in UTF-16") {
				t.Errorf("%s endian, a secret: %v", name, err)
			}
		}
	}
}

// TestLinesThatEndInCRAlone are named, and none of them is shown: they are one line with all
// secrets.
func TestLinesThatEndInCRAlone(t *testing.T) {
	path := fileOf(t, "MaxFrame=x\r"+strings.ReplaceAll(original, "\n", "\r"), 0o600)
	_, _, err := Load(path, nil, nil)
	if err == nil || err.Error() != "cannot read the configuration: "+path+
		" has lines that end in CR alone, as old Macs wrote them; save it with LF or CRLF" {
		t.Error(err)
	}
}

func TestAByteOrderMarkIsNoPartOfASecret(t *testing.T) {
	env := "DBPROXY_TEAMTALK_MASTER_PASSWORD_FILE=" + secretFile(t, "\ufeffhunter2\r\n")
	if c, _ := loaded(t, original, env); c.Master.Password.Reveal() != "hunter2" {
		t.Error("it is")
	}
}

// TestOfAWrongFileTheFirstTen: whoever gives a file of another kind gets no thousands of lines.
func TestOfAWrongFileTheFirstTen(t *testing.T) {
	everything, err := os.ReadFile(filepath.Join("testdata", "mistakes", "everything.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text           string
		warnings, told int
		end            string
	}{
		"many mistakes": {string(everything), 0, 10,
			"\n  ... and 18 more, and 9 warnings; mend these first"},
		"no configuration": {strings.Repeat("package main\n", 1000), 4, 6,
			"\n  ... and 996 more warnings; mend these first"},
		"one mistake":        {original + "MaxFrame=1\n", 0, 1, "such as 16MiB"},
		"one, and a warning": {original + "MaxFrame=1\nhello\n", 1, 1, "such as 16MiB"},
	} {
		_, warnings, err := Load(fileOf(t, c.text, 0o600), nil, nil)
		if err == nil || len(warnings) != c.warnings || !strings.HasSuffix(err.Error(), c.end) ||
			strings.Count(err.Error(), "\n")-strings.Count(err.Error(), "\n  ... ") != c.told {
			t.Errorf("%s: %d warnings, and:\n%v", name, len(warnings), err)
		}
	}
}

// TestFilesThatOthersMayRead are warned about when they have what others should not know.
func TestFilesThatOthersMayRead(t *testing.T) {
	secret := fileOf(t, "hunter2", 0o644)
	apart := strings.Replace(example, "teamtalk_master_password=", "teamtalk_master_password_FILE="+
		secret+"\n#", 1)
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"the owner's alone": {original, 0o600, ""},
		"a group's":         {original, 0o640, ""},
		"everybody's": {original, 0o644,
			"PATH: everybody on this machine may read PATH, which has teamtalk_master_password; " +
				"run chmod 600 PATH"},
		"nobody's secrets": {example, 0o644, ""},
		"a password of Redis": {example +
			"unread_password=hunter2", 0o644,
			"PATH: everybody on this machine may read PATH, which has unread_password; run " +
				"chmod 600 PATH"},
		"a key of a fork": {example +
			"audit_password=hunter2", 0o604,
			"PATH: everybody on this machine may read PATH, which has audit_password; run " +
				"chmod 600 PATH"},
		"a secret in a file": {apart, 0o644,
			"PATH:1: everybody on this machine may read SECRET, which has " +
				"teamtalk_master_password; run chmod 600 SECRET"},
		"not one that is not given": {strings.ReplaceAll(example, "CHANGE-ME", ""), 0o644, ""},
		"also of one that is too bad": {"aesKey=hunter2", 0o644,
			"PATH: everybody on this machine may read PATH, which has aesKey; run chmod 600 PATH"},
	} {
		path := fileOf(t, c.text, c.mode)
		_, warnings, _ := Load(path, nil, nil)
		var got []string
		for _, w := range warnings {
			if strings.Contains(w.Text, "may read") {
				line := w
				line.Where = strings.Replace(line.Where, fmt.Sprint(":", line.Line), ":1", 1)
				got = append(got, line.String())
			}
		}
		want := strings.NewReplacer("PATH", path, "SECRET", secret).Replace(c.want)
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
