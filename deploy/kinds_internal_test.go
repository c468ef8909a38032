package deploy

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryKindOfTheManifestsIsKnown: else the installation ends half-way.
func TestEveryKindOfTheManifestsIsKnown(t *testing.T) {
	objects, err := Manifests("image", "shop")
	require.NoError(t, err)
	for _, o := range objects {
		require.Contains(t, resources, o.GetKind(), o.GetName())
	}
}
