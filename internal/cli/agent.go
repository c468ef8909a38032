package cli

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/failoverdrill/drill/internal/agent"
	"github.com/failoverdrill/drill/internal/kube"
)

func agentCommand(env *Env) *cobra.Command {
	var o agent.Options
	var listen, certificates string
	c := &cobra.Command{
		Use: "agent", Short: "Act on one node for one run; this is what an agent pod does", Hidden: true, Args: exactArgs(0, "no argument"),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := env.interruptible(c.Context(), func() {}, func() {})
			defer stop()
			var pem [3][]byte
			for i, name := range []string{kube.AgentAuthority, kube.AgentCert, kube.AgentKey} {
				raw, err := os.ReadFile(filepath.Join(certificates, name))
				if err != nil {
					return fmt.Errorf("read the agent's certificate: %w", err)
				}
				pem[i] = raw
			}
			config, err := agent.ServerConfig(pem[0], agent.Certificate{Cert: pem[1], Key: pem[2]})
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("listen to the runner: %w", err)
			}
			o.Log = logger(env)
			defer func() { _ = o.Log.Sync() }()
			return agent.New(o).Serve(ctx, l, config)
		},
	}
	c.Flags().StringVar(&o.Run, "run", "", "the run")
	c.Flags().Int64Var(&o.Generation, "generation", 0, "the run's generation; an older runner is refused")
	c.Flags().StringVar(&listen, "listen", fmt.Sprintf(":%d", agent.Port), "where the runner reaches it")
	c.Flags().StringVar(&certificates, "certificates", kube.AgentCertificates, "the folder with ca.crt, tls.crt and tls.key")
	return c
}
