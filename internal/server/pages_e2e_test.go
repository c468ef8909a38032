//go:build e2e

package server_test

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/failoverdrill/drill/internal/server"
)

// TestT17TheClusterSaysWhoMaySeePages: real tokens, reviewed by a real API server.
func TestT17TheClusterSaysWhoMaySeePages(t *testing.T) {
	l := newLab(t)
	ctx, namespace := t.Context(), l.runs.Namespace()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	token := func(name string) string {
		_, err := l.client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		require.NoError(t, err)
		review, err := l.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		require.NoError(t, err)
		return review.Status.Token
	}
	viewer, stranger := token("viewer"), token("stranger")
	_, err = l.client.RbacV1().Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		Rules: []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{"failoverdrill.io"}, Resources: []string{"drillruns"}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = l.client.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "viewer"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "viewer"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "viewer", Namespace: namespace}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	l.inForce("system:serviceaccount:"+namespace+":viewer", "list", "failoverdrill.io", "drillruns")
	l.serveWith("one", func(o *server.Options) { o.Listen = address })
	get := func(path, token string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
		require.NoError(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	require.Eventually(t, func() bool { code, _ := get("/readyz", ""); return code == http.StatusOK }, 20*time.Second, 100*time.Millisecond)
	for want, token := range map[int]string{http.StatusOK: viewer, http.StatusForbidden: stranger, http.StatusUnauthorized: stranger[:len(stranger)-4] + "AAAA"} {
		code, body := get("/", token)
		require.Equal(t, want, code, body)
	}
	code, body := get("/", "")
	require.Equal(t, http.StatusUnauthorized, code)
	require.Contains(t, body, "create token drill-viewer")
	code, _ = get("/metrics", "")
	require.Equal(t, http.StatusOK, code)
}
