package targets

import (
	"context"
	"strings"
)

// strangersSQL names what stands where drill's ledger belongs and has an owner whom drill's role does not trust: somebody
// who could make a function that drill then calls with its own rights. Trusted are drill's role itself, superusers, who
// need no such trick, and the roles that a DBA made drill's a member of. A superuser counts as a member of every role, so
// for one that logs in only itself and other superusers are trusted; the owner of the database is not. Whoever owns the
// schema can drop what is in it and put something else there, so it counts, too.
const strangersSQL = `SELECT o.what || ' of role ' || quote_ident(r.rolname) FROM (
    SELECT 'schema failoverdrill' AS what, nspowner AS owner FROM pg_namespace WHERE nspname = 'failoverdrill'
    UNION ALL SELECT 'table failoverdrill.' || quote_ident(relname), relowner FROM pg_class
      WHERE relnamespace = to_regnamespace('failoverdrill') AND relname = ANY ($1::text[])
    UNION ALL SELECT 'function failoverdrill.' || quote_ident(proname), proowner FROM pg_proc
      WHERE pronamespace = to_regnamespace('failoverdrill')
    UNION ALL SELECT 'trigger on failoverdrill.' || quote_ident(c.relname), p.proowner FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
      JOIN pg_proc p ON p.oid = t.tgfoid WHERE c.relnamespace = to_regnamespace('failoverdrill') AND c.relname = ANY ($1::text[])
  ) o JOIN pg_roles r ON r.oid = o.owner
  WHERE NOT r.rolsuper AND r.rolname <> current_user
    AND (NOT pg_has_role(current_user, o.owner, 'MEMBER') OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
  ORDER BY 1 LIMIT 5`

// ledgerTables are drill's tables.
const ledgerTables = "{ledger,own,accounts,registers}"

// strangers lists whose things stand where the ledger belongs, as far as drill's role has no reason to trust them.
func (l ledger) strangers(ctx context.Context, s *session) ([]string, error) {
	rows, err := s.rows(ctx, strangersSQL, ledgerTables)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, row := range rows {
		all = append(all, string(row[0]))
	}
	return all, nil
}

// strangersError refuses a ledger that somebody else has laid out.
type strangersError struct{ what []string }

func (e *strangersError) Error() string { return "it is " + strings.Join(e.what, ", ") }
