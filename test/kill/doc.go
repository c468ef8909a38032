// Package kill sends SIGKILL and SIGSTOP to the runner, the agent, the leader, the API server and the kubelets at each
// phase of a run in the lab, and checks that everything is reverted and recorded afterwards.
package kill
