package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/teamtalk-go/dbproxy/internal/spelling"
)

// checkInstances compares the names in DBInstances and CacheInstances with those that there are.
func (l *loader) checkInstances() {
	l.checkNames("DBInstances", l.config.DBInstances, instancesOf[Database](), []string{master})
	needed := slices.DeleteFunc(instancesOf[Cache](), func(name string) bool {
		return name == "sync"
	})
	l.checkNames("CacheInstances", l.config.CacheInstances, instancesOf[Cache](), needed)
}

func (l *loader) checkNames(list string, names, known, needed []string) {
	if len(names) == 0 {
		return // told already, or without Redis
	}
	for _, name := range needed {
		if !slices.Contains(names, name) {
			l.mistake(l.sourceOf(list), "%s does not name %s; add it, and its keys %s_host, ...",
				list, name, name)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			l.warn(l.sourceOf(list), "%s names %s, which is not used%s",
				list, shown(name), suggestion(name, known))
		}
	}
}

// suggestion asks whether one of the names was meant; empty when none is near.
func suggestion(word string, names []string) string {
	if near := spelling.Nearest(word, names); len(near) > 0 {
		return "; " + spelling.DidYouMean(near)
	}
	return ""
}

// check finds keys that do not fit together.
func (l *loader) check() {
	c := l.config
	blamed := l.last("MaxFrame", "MaxPending")
	if wrong := c.Limits.wrong(l.telling(blamed)); wrong != "" {
		l.mistake(blamed, "%s", wrong)
	}
	l.checkDatabase(master, c.Master)
	l.checkDatabase(slave, c.Slave)
	for _, named := range c.Caches() {
		l.checkCache(named.Name, named.Cache)
	}
	l.checkCache("sync", c.Sync)
}

// telling returns the name of a key where its value was set, and that value.
type telling func(key string) (name, value string)

// wrong says which limits do not fit together and how to mend that; "" when all fit.
func (l Limits) wrong(tell telling) string {
	if l.MaxFrame > l.MaxPending && l.MaxPending > 0 {
		frame, long := tell("MaxFrame")
		pending, all := tell("MaxPending")
		return fmt.Sprintf("%s (%s) is above %s (%s), so such a frame would never fit; raise %[3]s",
			frame, long, pending, all)
	}
	return ""
}

// last returns the source of the key that was set last, to be blamed when keys do not fit together:
// that which overrides the sources of the others, or the first of equal ones.
func (l *loader) last(names ...string) source {
	return l.sourceOf(slices.MaxFunc(names, func(a, b string) int {
		return cmp.Compare(l.from[a].kind, l.from[b].kind)
	}))
}

// telling returns values with where they come from, unless that is the source that is blamed.
func (l *loader) telling(blamed source) telling {
	return func(key string) (name, value string) {
		from, given := l.from[key]
		name, value = key, l.keys[key].text()
		switch {
		case !given:
			value += ", the default"
		case from.kind == ofFlags:
			name = from.where
		case from != blamed:
			value += ", " + from.where
		}
		return name, value
	}
}

func (l *loader) checkDatabase(name string, d Database) {
	if d.MaxIdle > d.MaxConns && d.MaxConns > 0 {
		blamed := l.last(name+"_maxidlecnt", name+"_maxconncnt")
		tell := l.telling(blamed)
		idle, few := tell(name + "_maxidlecnt")
		conns, all := tell(name + "_maxconncnt")
		l.mistake(blamed, "%s (%s) is above %s (%s); lower %[1]s", idle, few, conns, all)
	}
	if d.socket() && d.TLS.Mode == tlsVerify && d.TLS.ServerName == "" {
		l.mistake(l.sourceOf(name+"_tls"),
			"%s_tls is verify, and a socket has no name that a certificate "+
				"could be for; add %[1]s_tls_servername, or write off", name)
	}
	l.checkTLS(name, d.TLS)
}

func (l *loader) checkCache(name string, c Cache) {
	key := func(rest string) string { return name + "_" + rest }
	sentinels, cluster := l.given(key("sentinels")), l.given(key("cluster"))
	switch {
	case sentinels && cluster:
		l.mistake(l.last(key("cluster"), key("sentinels")), "%s and %s are both set; remove one",
			key("sentinels"), key("cluster"))
	case sentinels && !l.given(key("sentinel_master")):
		l.mistake(l.sourceOf(key("sentinels")),
			"%s is missing; add the name that the Sentinels have for the server",
			key("sentinel_master"))
	}
	for _, rest := range []string{"sentinel_master", "sentinel_username", "sentinel_password"} {
		if l.given(key(rest)) && !sentinels {
			l.mistake(l.sourceOf(key(rest)),
				"%s is set without %s; add the Sentinels' HOST:PORT there, or remove it",
				key(rest), key("sentinels"))
		}
	}
	if cluster && c.DB != 0 {
		l.warn(l.sourceOf(key("db")), "%s is ignored: a Redis Cluster has only database 0",
			key("db"))
	}
	if c.TLS.Mode == tlsPreferred {
		l.mistake(l.sourceOf(key("tls")),
			"%s cannot be preferred: Redis has no way to ask for it; "+
				"write off, required or verify", key("tls"))
	}
	l.checkTLS(name, c.TLS)
}

func (l *loader) checkTLS(name string, t TLS) {
	key := func(rest string) string { return name + "_" + rest }
	var idle []string // what nobody reads in this mode
	switch t.Mode {
	case "":
		return // a mistake, or an instance that is not used
	case tlsOff:
		idle = []string{"tls_ca", "tls_cert", "tls_key", "tls_servername"}
	case tlsPreferred, tlsRequired:
		idle = []string{"tls_ca", "tls_servername"}
	}
	for _, rest := range idle {
		if l.given(key(rest)) {
			l.warn(l.sourceOf(key(rest)), "%s is not looked at, as %s is %s; write %s=%s",
				key(rest), key("tls"), t.Mode, key("tls"), tlsVerify)
		}
	}
	have, lack := "tls_cert", "tls_key"
	if t.Cert == "" {
		have, lack = lack, have
	}
	if (t.Cert == "") != (t.Key == "") {
		l.mistake(l.sourceOf(key(have)), "%s is set without %s; add it, or remove this one",
			key(have), key(lack))
	} else if _, err := t.certificates(); err != nil {
		l.mistake(l.sourceOf(key("tls_cert")), "%s and %s: %v", key("tls_cert"), key("tls_key"),
			err)
	}
	if _, err := t.authorities(); err != nil {
		l.mistake(l.sourceOf(key("tls_ca")), "%s: %v", key("tls_ca"), err)
	}
	if t.Key != "" {
		l.warnOfReader(l.sourceOf(key("tls_key")), "the key of "+key("tls_cert"), t.Key)
	}
}

// warnOfLines tells of lines that do not do what they seem to.
func (l *loader) warnOfLines(file parsed) {
	for _, e := range file.repeated {
		l.warn(l.at(e.line), "%s is set in line %d already, which counts; remove one",
			unsecret(e.key), l.file[e.key].line)
	}
	for _, e := range file.hashed {
		if k, known := l.known(e.key); known && k.secret() {
			l.warn(l.at(e.line), "%s is empty, as # starts a comment everywhere; a secret with # "+
				"in it goes into %s or %s", e.key, k.name+fileSuffix, k.env())
		}
	}
	for _, line := range file.skipped {
		l.warn(l.at(line), "skipped, as it has no =")
	}
}

// known returns the key of that name, or the key of the secret whose file it names.
func (l *loader) known(name string) (key, bool) {
	if k, ok := l.keys[name]; ok {
		return k, true
	}
	of, cut := strings.CutSuffix(name, fileSuffix)
	k, ok := l.keys[of]
	return k, cut && ok && k.secret()
}

// warnOfUnknown tells of keys and variables that nothing reads. Forks have keys of their own, so
// these are no mistakes.
func (l *loader) warnOfUnknown(entries []entry) {
	unused := make(map[string]source) // by instance: where the first of its keys is
	var names, vars []string
	byVar := make(map[string]string)
	for _, k := range l.order {
		names = append(names, k.name)
		vars = append(vars, k.env())
		byVar[k.env()] = k.name
		if k.secret() {
			byVar[k.env()+fileSuffix] = k.name
		}
	}
	note := func(name string, from source) {
		if k := l.keys[name]; !l.used(k) {
			if _, told := unused[k.instance.name]; !told {
				unused[k.instance.name] = from
			}
		}
	}
	for _, e := range entries {
		if k, known := l.known(e.key); known {
			note(k.name, l.at(e.line))
		} else if !l.ofForeign(e.key) {
			l.warn(l.at(e.line), "%s is no key of dbproxy and does nothing%s",
				unsecret(e.key), suggestion(e.key, names))
		}
	}
	for _, v := range slices.Sorted(maps.Keys(l.env)) {
		if name, known := byVar[v]; known {
			note(name, source{where: v})
		} else {
			l.warn(source{where: v}, "this variable belongs to no key of dbproxy and does "+
				"nothing%s", suggestion(v, vars))
		}
	}
	var ofRedis []string // whose keys are there, but no CacheInstances
	for _, instance := range slices.Concat(instancesOf[Database](), instancesOf[Cache]()) {
		from, ok := unused[instance]
		switch {
		case ok && l.config.WithoutRedis() && slices.Contains(instancesOf[Cache](), instance):
			ofRedis = append(ofRedis, instance)
		case ok:
			l.warn(from, "the keys of %s are not used, as %s does not name it", instance,
				l.listOf(instance))
		}
	}
	if len(ofRedis) > 0 {
		l.warn(unused[ofRedis[0]], "there is no CacheInstances, so this is for a proxy without "+
			"Redis, and the keys of %s are not used: add CacheInstances=%s, or remove these keys",
			strings.Join(ofRedis, ", "), l.keys["CacheInstances"].example)
	}
}

// listOf is the key that would name an instance.
func (l *loader) listOf(instance string) string {
	if slices.Contains(instancesOf[Database](), instance) {
		return "DBInstances"
	}
	return "CacheInstances"
}

// ofForeign is whether a key belongs to an instance that is named and not used: that was told
// already.
func (l *loader) ofForeign(name string) bool {
	known := slices.Concat(instancesOf[Database](), instancesOf[Cache]())
	return slices.ContainsFunc(slices.Concat(l.config.DBInstances, l.config.CacheInstances),
		func(instance string) bool {
			return strings.HasPrefix(name, instance+"_") && !slices.Contains(known, instance)
		})
}

// warnOfReaders warns of a secret in the file that others may read. Those of the example are none.
func (l *loader) warnOfReaders(entries []entry) {
	for _, e := range entries {
		k, known := l.keys[e.key]
		secret := known && k.secret() || !known && strings.HasSuffix(e.key, "_password")
		if secret && e.value != k.example {
			l.warnOfReader(source{where: l.path}, unsecret(e.key), l.path)
			return
		}
	}
}

// warnOfReader warns, once, of a file with a secret that others may read.
func (l *loader) warnOfReader(from source, secret, path string) {
	info, err := os.Stat(path) // an error is told where the file is read
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o004 == 0 || l.exposed[path] {
		return
	}
	l.exposed[path] = true
	l.warn(from, "everybody on this machine may read %s, which has %s; run chmod 600 %[1]s",
		path, secret)
}
