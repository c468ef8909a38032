package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// binaries is where Debian puts the servers of this version.
const binaries = "/usr/lib/postgresql/15/bin"

const configuration = `
listen_addresses = '%s'
port = %d
unix_socket_directories = ''
fsync = off
autovacuum = off
shared_buffers = 16MB
max_connections = 100
wal_keep_size = 64MB
track_commit_timestamp = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
hot_standby = on
log_line_prefix = '%%m [%%p] %%u '
`

const access = `
host all         postgres 127.0.0.0/8 trust
host replication postgres 127.0.0.0/8 trust
host all         all      127.0.0.0/8 scram-sha-256
`

// Server is one PostgreSQL server of a pair.
type Server struct {
	Name string // the member's name, such as orders-0
	IP   string
	Port int

	t      testing.TB
	data   string
	log    string
	cred   *syscall.Credential
	pid    int
	exited chan struct{}
}

func newServer(t testing.TB, name, ip string, port int, dir string) *Server {
	t.Helper()
	s := &Server{Name: name, IP: ip, Port: port, t: t, data: filepath.Join(dir, name, "data"), log: filepath.Join(dir, name, "log")}
	s.cred = credential(t)
	home := filepath.Dir(s.data)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if s.cred != nil {
		if err := os.Chown(home, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.Kill() })
	return s
}

// credential is the user postgres when the test runs as root, because the server refuses to.
func credential(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("these tests need PostgreSQL 15 (apt-get install postgresql-15): %v", err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}
}

// Address is host and port.
func (s *Server) Address() string { return net.JoinHostPort(s.IP, strconv.Itoa(s.Port)) }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	path := filepath.Join(binaries, name)
	if _, err := os.Stat(path); err != nil {
		s.t.Fatalf("these tests need PostgreSQL 15 (apt-get install postgresql-15): %v", err)
	}
	cmd := exec.Command(path, args...) //nolint:gosec // fixed names
	cmd.Dir = filepath.Dir(s.data)
	cmd.Env = []string{"PATH=" + binaries + ":/usr/bin:/bin", "LC_ALL=C", "HOME=" + cmd.Dir}
	// The server must not outlive a test binary that is killed, so that no port and no memory stays taken.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (s *Server) run(name string, args ...string) {
	s.t.Helper()
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (s *Server) initialise() {
	s.t.Helper()
	s.run("initdb", "-D", s.data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", "--auth=trust")
	s.write("pg_hba.conf", access)
	s.configure()
}

func (s *Server) configure() {
	s.t.Helper()
	s.write("postgresql.conf", fmt.Sprintf(configuration, s.IP, s.Port))
}

func (s *Server) copyFrom(primary *Server, conninfo string) {
	s.t.Helper()
	if err := os.RemoveAll(s.data); err != nil {
		s.t.Fatal(err)
	}
	s.run("pg_basebackup", "-h", primary.IP, "-p", strconv.Itoa(primary.Port), "-U", "postgres",
		"-D", s.data, "-X", "stream", "-c", "fast", "--no-sync")
	s.configure()
	s.write("postgresql.auto.conf", fmt.Sprintf("primary_conninfo = '%s'\n", conninfo))
	s.write("standby.signal", "")
}

// BackUp copies the server once, as a standby does that joins, and throws the copy away.
func (s *Server) BackUp() error {
	s.t.Helper()
	into := filepath.Join(filepath.Dir(s.data), "backup")
	defer func() { _ = os.RemoveAll(into) }() // it lies in the test's own folder, which is removed with the test
	out, err := s.command("pg_basebackup", "-h", s.IP, "-p", strconv.Itoa(s.Port), "-U", "postgres",
		"-D", into, "-X", "stream", "-c", "fast", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("back up %s: %w: %s", s.Name, err, out)
	}
	return nil
}

func (s *Server) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.data, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.cred != nil {
		if err := os.Chown(path, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Start runs the server and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := s.command("postgres", "-D", s.data)
	cmd.Stdout, cmd.Stderr = log, log
	started := make(chan error)
	exited := make(chan struct{})
	go func() {
		// The kernel sends the death signal when the thread that started the process ends: keep it.
		runtime.LockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start %s: %v", s.Name, err)
	}
	s.pid, s.exited = cmd.Process.Pid, exited
	s.waitFor("SELECT true")
}

// Kill ends the server and all of its processes at once, as a container runtime would.
func (s *Server) Kill() Moment {
	m := moment(func() { s.signal(syscall.SIGKILL) })
	s.gone()
	return m
}

// Drain makes the server refuse new connections. It serves the open ones until they end, and ends then.
func (s *Server) Drain() Moment {
	return moment(func() { _ = syscall.Kill(s.pid, syscall.SIGTERM) })
}

// Stop ends the server in good order; it can be started again at once.
func (s *Server) Stop() {
	s.t.Helper()
	s.run("pg_ctl", "stop", "-D", s.data, "-m", "fast", "-w", "-t", "20")
	s.gone()
}

// Freeze stops all of the server's processes; connections stay open and nothing answers.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw undoes Freeze.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal goes to the server and to its own children only.
func (s *Server) signal(sig syscall.Signal) {
	if s.pid == 0 {
		return
	}
	pids := []int{s.pid}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.pid, s.pid))
	for f := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig)
	}
}

func (s *Server) gone() {
	if s.pid != 0 {
		<-s.exited
		s.pid = 0
	}
}

// Promote makes a standby the primary.
func (s *Server) Promote() {
	s.t.Helper()
	s.run("pg_ctl", "promote", "-D", s.data, "-w", "-t", "20")
}

// PromoteAt makes a standby the primary and returns when it became one: after the last time that it said that it was in
// recovery, and before the first time that it did not.
func (s *Server) PromoteAt() Moment {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", s.Address()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	ask := func(sql string) string {
		results, err := conn.Exec(ctx, sql).ReadAll()
		if err != nil {
			s.t.Fatalf("%s: %s: %v", s.Name, sql, err)
		}
		return string(results[0].Rows[0][0])
	}
	m := Moment{Before: time.Now()}
	ask("SELECT pg_promote(false)")
	for {
		asked := time.Now()
		if ask("SELECT pg_is_in_recovery()") == "f" {
			m.After = time.Now()
			return m
		}
		m.Before = asked
	}
}

// PauseReplay lets a standby receive the stream and show none of it.
func (s *Server) PauseReplay() {
	s.t.Helper()
	s.Exec("SELECT pg_wal_replay_pause()")
	s.waitFor("SELECT pg_get_wal_replay_pause_state() = 'paused'")
}

// ResumeReplay undoes PauseReplay.
func (s *Server) ResumeReplay() { s.t.Helper(); s.Exec("SELECT pg_wal_replay_resume()") }

// Log is what the server has logged so far.
func (s *Server) Log() string {
	s.t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// Exec runs a statement as the superuser in the database postgres.
func (s *Server) Exec(sql string) { s.t.Helper(); s.Query("postgres", sql) }

// Query runs a statement as the superuser and returns the rows as text.
func (s *Server) Query(database, sql string) [][]string {
	s.t.Helper()
	rows, err := s.query(database, sql)
	if err != nil {
		s.t.Fatalf("%s: %s: %v", s.Name, sql, err)
	}
	return rows
}

func (s *Server) query(database, sql string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", s.Address(), database))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for _, r := range results[len(results)-1].Rows {
		var row []string
		for _, v := range r {
			row = append(row, string(v))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// waitFor polls until the query's one value is true.
func (s *Server) waitFor(sql string) {
	s.t.Helper()
	var last string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		rows, err := s.query("postgres", sql)
		if err == nil && len(rows) == 1 && rows[0][0] == "t" {
			return
		}
		last = fmt.Sprint(rows, err)
		select {
		case <-s.exited:
			s.t.Fatalf("%s has ended:\n%s", s.Name, s.Log())
		default:
		}
	}
	s.t.Fatalf("%s: %s is still not true (%s):\n%s", s.Name, sql, last, s.Log())
}
