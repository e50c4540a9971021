package config

import (
	"strings"
	"testing"
)

// TestNoSecretIsEchoed puts what has a secret in it where it does not belong.
func TestNoSecretIsEchoed(t *testing.T) {
	for _, value := range []string{
		"http://user:hunter2@files/", "user:hunter2@files", "https://files/?token=hunter2",
		"ftp://u:hunter2@x@files/",
		"root:hunter2@tcp(127.0.0.1:3306)/teamtalk?tls=true", "redis://:hunter2@127.0.0.1:6379",
		":hunter2@r:1;b:2",
		"u:hun@ter2@r", "http://u:hunter2%zz@files/", strings.Repeat("x", 2000) + "hunter2",
	} {
		for _, k := range keysOf(&Config{}) {
			if k.secret() || k.set(value) {
				continue // it is hidden, or it is taken for what it says
			}
			_, warnings, err := load("x.conf", []byte(k.name+"="+value+"\n"+original), nil)
			if err == nil || !strings.Contains(err.Error(), k.name+" is ") {
				t.Errorf("%s=%s: %v", k.name, value, err)
			}
			checkHidden(t, k.name+"="+value, warnings, err)
		}
		_, warnings, err := load("x.conf", []byte(original), []string{"DBPROXY_MSFSSITE=" + value})
		checkHidden(t, "MsfsSite="+value, warnings, err)
		text := strings.ReplaceAll(original, "unread,", "unread,"+value+",")
		_, warnings, err = load("x.conf", []byte(text), nil)
		checkHidden(t, "CacheInstances=unread,"+value, warnings, err)
		_, warnings, err = load("x.conf", []byte(value+"\n"+value+"=1\n"+value+"=2\n"+original),
			nil)
		checkHidden(t, value, warnings, err)
	}
}

// TestNoSecretOfALineThatWasJoinedIsEchoed: where an editor has lost the end of a line, the next
// key stands in a value.
func TestNoSecretOfALineThatWasJoinedIsEchoed(t *testing.T) {
	for _, value := range []string{
		"3306 unread_password=hunter2", "x\tunread_password = hunter2", "127.0.0.1:1 a=b=hunter2",
	} {
		for _, k := range keysOf(&Config{}) {
			if k.secret() || k.set(value) {
				continue
			}
			_, warnings, err := load("x.conf", []byte(k.name+"="+value+"\n"+original), nil)
			if err == nil && len(warnings) == 0 {
				t.Errorf("%s=%s is taken", k.name, value)
			}
			checkHidden(t, k.name+"="+value, warnings, err)
		}
	}
}

func checkHidden(t *testing.T, of string, warnings []Warning, err error) {
	t.Helper()
	told := ""
	for _, w := range warnings {
		told += w.String() + "\n"
	}
	if err != nil {
		told += err.Error()
	}
	for _, part := range []string{"hunter2", "ter2", "hun@"} {
		if strings.Contains(told, part) {
			t.Errorf("%s: it says\n%s", of, told)
			return
		}
	}
}

// TestWhatIsShownOfAWrongValue: enough to know it again.
func TestWhatIsShownOfAWrongValue(t *testing.T) {
	for text, want := range map[string]string{
		"http://user:password@files:8700/x": `"http://(hidden)@files:8700/x"`,
		"user:password@files":               `"(hidden)@files"`,
		"http://files/?a=b":                 `"http://files/?(hidden)"`,
		"10\n600":                           `"10\n600"`,
		"10 aesKey=x":                       `"10 aesKey=(hidden)"`,
		strings.Repeat("小", 50):             `"` + strings.Repeat("小", 33) + `..."`,
	} {
		if got := shown(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}
