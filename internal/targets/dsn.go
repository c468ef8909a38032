package targets

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/failoverdrill/drill/internal/drill"
)

// The bounds of a DSN and of a certificate authority, in bytes.
const (
	maxDSN = 4 << 10
	maxCA  = 64 << 10
)

const (
	dsnForm      = "postgres://user:password@service.namespace.svc:5432/database."
	severalHosts = "The dsn names several hosts. Name one: the Service that leads to the primary."
	dsnShape     = "The dsn cannot be read. Write it as " + dsnForm
)

// dsnKeys are the keys that a DSN may have. Those that name files, services or libraries are not among them: a DSN is read
// in drill's server, whose files are none of the requester's business. Nor are settings of the session (options, search_path,
// statement_timeout …): they would change what the run measures.
var dsnKeys = []string{"host", "port", "user", "password", "dbname", "database", "sslmode", "ssl", "require_auth", "channel_binding",
	"connect_timeout", "application_name", "target_session_attrs"}

// knownKeys are other keys of PostgreSQL's drivers, with what to do instead. Only these are quoted: whatever else stands
// where a key should be may be a part of a password.
var knownKeys = map[string]string{
	"sslrootcert": "Give the certificate authority as text: ca = secret(\"name\", \"key\").", "sslcert": noClientCert, "sslkey": noClientCert,
	"sslpassword": noClientCert, "sslcertmode": noClientCert, "sslcrl": noFiles, "sslcrldir": noFiles,
	"passfile": "Put the password into the Secret that dsn names.", "service": noFiles, "servicefile": noFiles,
	"krbsrvname": noGSS, "krbspn": noGSS, "gsslib": noGSS, "gssencmode": noGSS, "gssdelegation": noGSS,
	"options": noSettings, "search_path": noSettings, "statement_timeout": noSettings, "lock_timeout": noSettings,
	"idle_in_transaction_session_timeout": noSettings, "synchronous_commit": noSettings, "role": noSettings, "timezone": noSettings,
	"client_encoding": noSettings, "datestyle": noSettings, "replication": noSettings,
	"hostaddr": "Write the address as the host.", "load_balance_hosts": oneHost, "sslnegotiation": remove, "sslsni": remove,
	"sslcompression": remove, "ssl_min_protocol_version": remove, "ssl_max_protocol_version": remove, "min_protocol_version": remove,
	"max_protocol_version": remove, "keepalives": remove, "keepalives_idle": remove, "keepalives_interval": remove,
	"keepalives_count": remove, "tcp_user_timeout": remove, "fallback_application_name": remove, "requirepeer": remove,
	"requiressl": remove, "tty": remove, "pool_max_conns": remove, "default_query_exec_mode": remove, "statement_cache_capacity": remove,
	"scram_client_key": remove, "scram_server_key": remove, "sslkeylogfile": noFiles, "oauth_issuer": remove, "oauth_client_id": remove,
	"oauth_client_secret": remove, "oauth_scope": remove, "servicename": remove,
}

const (
	remove       = "Remove it: drill's own deadlines and sessions rule."
	noFiles      = "Remove it: a dsn names no file, because it is read in drill's pods."
	noClientCert = "Remove it: drill logs in with a password, and a dsn names no file."
	noGSS        = "Remove it: drill logs in with a password."
	noSettings   = "Remove it: settings of the session would change what the run measures."
	oneHost      = "Remove it: drill connects through one Service."
)

// login is what a DSN says.
type login struct {
	host, user, password, database string
	port                           uint16
	sslmode                        string // "" is prefer, or verify-full where there is a CA
	requireAuth, channelBinding    string
}

// dsnError is what is wrong with a DSN. It quotes nothing that could be a part of a password.
type dsnError string

func (e dsnError) Error() string { return string(e) }

// readDSN reads a DSN, as a URL or as words key=value. It opens no file, looks up no name and asks no environment, which
// the driver's own reader does; see pgconn.ParseConfig.
func readDSN(dsn string) (login, error) {
	if len(dsn) > maxDSN {
		return login{}, dsnError(fmt.Sprintf("The dsn has %d bytes, and may have %d. Check that it is one.", len(dsn), maxDSN))
	}
	settings, order, err := dsnSettings(dsn)
	for _, key := range order {
		if !slices.Contains(dsnKeys, key) {
			return login{}, notAllowed(key)
		}
	}
	if err != nil {
		return login{}, err
	}
	l := login{host: settings["host"], user: settings["user"], password: settings["password"], sslmode: settings["sslmode"],
		database: settings["dbname"], requireAuth: settings["require_auth"], channelBinding: settings["channel_binding"], port: 5432}
	if d, ok := settings["database"]; ok {
		l.database = d
	}
	if s, ok := settings["ssl"]; ok && s != "true" {
		return login{}, dsnError("ssl may only be true. Write sslmode=require, or sslmode=disable.")
	} else if ok && l.sslmode == "" {
		l.sslmode = "require"
	}
	if p := settings["port"]; p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return login{}, dsnError(dsnShape)
		}
		l.port = uint16(n)
	}
	return l, l.check(settings)
}

func notAllowed(key string) error {
	if instead, ok := knownKeys[key]; ok {
		return dsnError(fmt.Sprintf("The dsn may not have the key %s. %s", key, instead))
	}
	return dsnError("The dsn has a key that is not one of " + strings.Join(dsnKeys, ", ") +
		". Remove it, or write ?, &, @ and / within a password as %3F, %26, %40 and %2F.")
}

func (l login) check(settings map[string]string) error {
	switch {
	case l.host == "":
		return dsnError("The dsn names no host, and the driver would look for a server in drill's own pod. Write it as " + dsnForm)
	case strings.Contains(l.host, ",") || strings.Contains(settings["port"], ","):
		return dsnError(severalHosts)
	case strings.ContainsAny(l.host, "/\\[] \t\r\n%") || strings.HasPrefix(l.host, "@") || len(l.host) > 253:
		return dsnError("The dsn's host is no name and no address. Write it as " + dsnForm)
	}
	if !slices.Contains([]string{"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"}, l.sslmode) {
		return dsnError("sslmode is one of disable, allow, prefer, require, verify-ca, verify-full.")
	}
	if !slices.Contains([]string{"", "disable", "prefer", "require"}, l.channelBinding) {
		return dsnError("channel_binding is one of disable, prefer, require.")
	}
	if t := settings["connect_timeout"]; t != "" {
		if _, err := strconv.ParseUint(t, 10, 31); err != nil {
			return dsnError("connect_timeout is a whole number of seconds.")
		}
	}
	for method := range strings.SplitSeq(l.requireAuth, ",") {
		if l.requireAuth != "" && !slices.Contains([]string{"password", "md5", "scram-sha-256", "none"}, strings.TrimSpace(method)) {
			return dsnError("require_auth lists some of password, md5, scram-sha-256, none, with commas between them.")
		}
	}
	return nil
}

// dsnSettings are the settings of a DSN, and its keys in their order: as many as could be read.
func dsnSettings(dsn string) (map[string]string, []string, error) {
	if strings.ContainsRune(dsn, 0) {
		return nil, nil, dsnError(dsnShape)
	}
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return urlSettings(dsn)
	}
	return wordSettings(dsn)
}

func urlSettings(dsn string) (map[string]string, []string, error) {
	settings := map[string]string{}
	var order []string
	before, query, _ := strings.Cut(dsn, "?")
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		k, v, found := strings.Cut(pair, "=")
		key, err := url.PathUnescape(k)
		value, err2 := url.PathUnescape(v)
		if !found || errors.Join(err, err2) != nil {
			return nil, order, dsnError(dsnShape)
		}
		order = append(order, key)
		settings[key] = value
	}
	if err := addressSettings(before[strings.Index(before, "://")+len("://"):], settings); err != nil {
		return settings, order, err
	}
	return settings, order, nil
}

// addressSettings reads user:password@host:port/database. What the query says already stays, as in libpq.
func addressSettings(s string, settings map[string]string) error {
	authority, path, _ := strings.Cut(s, "/")
	at := strings.LastIndex(authority, "@")
	user, password, _ := strings.Cut(authority[:max(at, 0)], ":")
	host, port := authority[at+1:], ""
	switch end := strings.LastIndex(host, "]"); {
	case strings.Contains(host, ","):
		return dsnError(severalHosts)
	case strings.HasPrefix(host, "[") && end > 0:
		port, host = strings.TrimPrefix(host[end+1:], ":"), host[1:end]
	case strings.Contains(host, ":"):
		host, port, _ = strings.Cut(host, ":")
		if host == "" {
			return dsnError(dsnShape)
		}
	}
	if _, named := settings["dbname"]; named {
		path = ""
	}
	for key, raw := range map[string]string{"host": host, "port": port, "user": user, "password": password, "database": path} {
		value, err := url.PathUnescape(raw)
		if err != nil {
			return dsnError(dsnShape)
		}
		if _, said := settings[key]; !said && value != "" {
			settings[key] = value
		}
	}
	return nil
}

const blanks = " \t\n\r\v\f"

func wordSettings(s string) (map[string]string, []string, error) {
	settings := map[string]string{}
	var order []string
	for s = strings.TrimLeft(s, blanks); s != ""; s = strings.TrimLeft(s, blanks) {
		key, rest, found := strings.Cut(s, "=")
		key = strings.Trim(key, blanks)
		if !found || key == "" || strings.ContainsAny(key, blanks) {
			return nil, order, dsnError(dsnShape)
		}
		var value string
		var ok bool
		if value, s, ok = word1(strings.TrimLeft(rest, blanks)); !ok {
			return nil, order, dsnError(dsnShape)
		}
		order = append(order, key)
		settings[key] = value
	}
	if len(order) == 0 {
		return nil, nil, dsnError(dsnShape)
	}
	return settings, order, nil
}

// word1 reads the value at the start of s, in quotes or up to a blank, and returns what follows it.
func word1(s string) (value, rest string, ok bool) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case quoted && s[i] == '\'':
			return b.String(), s[i+1:], true
		case !quoted && strings.IndexByte(blanks, s[i]) >= 0:
			return b.String(), s[i:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "", !quoted
}

// checkDSN holds a DSN to what drill connects with. Where a secret is a part of it, the rest is held to it; what is in
// the secret shows only in the run.
func checkDSN(dsn string) (summary, detail string) {
	refs := drill.Sensitive(dsn).Refs()
	if len(refs) > 0 {
		whole, err := drill.Sensitive(dsn).Resolve(func(drill.SecretKey) (string, error) { return "1", nil })
		if err != nil || whole == "1" {
			return "", ""
		}
		_, order, _ := dsnSettings(whole)
		for _, key := range order {
			if _, known := knownKeys[key]; known {
				return "Invalid dsn", notAllowed(key).Error()
			}
		}
		return "", ""
	}
	if _, err := readDSN(dsn); err != nil {
		return "Invalid dsn", err.Error()
	}
	return "", ""
}

// checkCA holds the text of a certificate authority to what can be read.
func checkCA(ca string) (summary, detail string) {
	if len(drill.Sensitive(ca).Refs()) > 0 {
		return "", ""
	}
	if _, err := readCA(ca); err != nil {
		return "Invalid ca", err.Error()
	}
	return "", ""
}

func readCA(ca string) (*x509.CertPool, error) {
	if len(ca) > maxCA {
		return nil, dsnError(fmt.Sprintf("The ca has %d bytes, and may have %d.", len(ca), maxCA))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(ca)) {
		return nil, dsnError("The ca holds no certificate in PEM form. Give the text of one, and no path: usually secret(\"name\", \"ca.crt\").")
	}
	return pool, nil
}

// config is what the driver is to connect with; ca is the PEM text of whom to trust, or empty.
//
// While nobody proves to be the server, the password is not shown to it: then only SCRAM counts, which shows it to
// nobody and lets the server prove that it knows it. require_auth in the DSN says otherwise.
func (l login) config(ca string) (*pgconn.Config, error) {
	// The driver's reader would ask these, too: its text is fixed, so they cannot be named, and the rest is overwritten below.
	if err := os.Unsetenv("PGSERVICE"); err != nil {
		return nil, fmt.Errorf("forget PGSERVICE: %w", err)
	}
	config, err := pgconn.ParseConfig("host=localhost port=5432 user=drill password=drill database=drill sslmode=disable sslnegotiation='' passfile='' " +
		"sslcert='' sslkey='' sslrootcert='' sslpassword='' sslcertmode=allow connect_timeout=0 target_session_attrs=any " +
		"min_protocol_version='' max_protocol_version='' channel_binding='' require_auth=''")
	if err != nil {
		return nil, fmt.Errorf("prepare the driver: %w", err)
	}
	config.Host, config.Port, config.User, config.Password, config.Database = l.host, l.port, l.user, l.password, l.database
	config.RuntimeParams = map[string]string{"application_name": "drill"}
	config.ConnectTimeout = 0 // the slot's deadline rules
	config.RequireAuth = l.requireAuth
	if l.channelBinding != "" {
		config.ChannelBinding = l.channelBinding
	}
	verified, err := l.setTLS(config, ca)
	if err != nil {
		return nil, err
	}
	if !verified && l.requireAuth == "" {
		config.RequireAuth = "scram-sha-256"
		if l.password == "" {
			config.RequireAuth += ",none"
		}
	}
	return config, nil
}

// setTLS says how to speak TLS, and reports whether the server's certificate is verified.
func (l login) setTLS(config *pgconn.Config, ca string) (verified bool, err error) {
	mode := l.sslmode
	speak := &tls.Config{ServerName: l.host}
	if ca != "" {
		if speak.RootCAs, err = readCA(ca); err != nil {
			return false, err
		}
		if mode == "" {
			mode = "verify-full"
		}
		if !strings.HasPrefix(mode, "verify-") {
			return false, dsnError("There is a ca, but sslmode=" + mode + " in the dsn would not ask it. Remove sslmode, or write sslmode=verify-full.")
		}
	}
	config.TLSConfig, config.Fallbacks = nil, nil
	switch mode {
	case "disable":
		return false, nil
	case "verify-full":
	case "verify-ca":
		speak.InsecureSkipVerify = true // of the name; the chain is verified here
		roots := speak.RootCAs
		speak.VerifyConnection = func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, c := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(c)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		}
	default:
		speak.InsecureSkipVerify = true
	}
	config.TLSConfig = speak
	other := &pgconn.FallbackConfig{Host: l.host, Port: l.port}
	switch mode {
	case "", "prefer":
		config.Fallbacks = []*pgconn.FallbackConfig{other}
	case "allow":
		config.TLSConfig, other.TLSConfig = nil, speak
		config.Fallbacks = []*pgconn.FallbackConfig{other}
	}
	return strings.HasPrefix(mode, "verify-"), nil
}
