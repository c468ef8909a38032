package drill

import (
	"fmt"
	"regexp"
)

// Sensitive is a string that must appear in no log, event or report. Where a drill file calls secret(), it holds a
// reference in the secret's place, which only the process that runs the drill resolves.
type Sensitive string

// SecretKey names one value in a Kubernetes Secret.
type SecretKey struct{ Name, Key string }

// secretRef is delimited by control characters that no drill file can contain.
var secretRef = regexp.MustCompile("\x01secret:([^\x00-\x1f]*)\x02([^\x00-\x1f]*)\x03")

// SecretRef is the text that stands for a secret's value until it is resolved.
func SecretRef(k SecretKey) string { return "\x01secret:" + k.Name + "\x02" + k.Key + "\x03" }

// Refs lists the secrets that the string refers to.
func (s Sensitive) Refs() []SecretKey {
	var keys []SecretKey
	for _, m := range secretRef.FindAllStringSubmatch(string(s), -1) {
		keys = append(keys, SecretKey{Name: m[1], Key: m[2]})
	}
	return keys
}

// Resolve puts each secret's value in its place.
func (s Sensitive) Resolve(value func(SecretKey) (string, error)) (string, error) {
	var failed error
	out := secretRef.ReplaceAllStringFunc(string(s), func(ref string) string {
		m := secretRef.FindStringSubmatch(ref)
		v, err := value(SecretKey{Name: m[1], Key: m[2]})
		if err != nil && failed == nil {
			failed = fmt.Errorf("secret %q, key %q: %w", m[1], m[2], err)
		}
		return v
	})
	if failed != nil {
		return "", failed
	}
	return out, nil
}

// String hides the value from every printer.
func (Sensitive) String() string { return "(sensitive)" }

// GoString hides the value from %#v.
func (Sensitive) GoString() string { return "(sensitive)" }

// MarshalJSON hides the value from every record.
func (Sensitive) MarshalJSON() ([]byte, error) { return []byte(`"(sensitive)"`), nil }
