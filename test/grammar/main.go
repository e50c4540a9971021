// Grammar reads SQL statements, a JSON array of texts, and says which of them are no MySQL: it writes an object of
// complaints by statement. Its grammar is TiDB's, which is that of MySQL and not of MariaDB. It is a module of its own,
// so that what it needs is none of the proxy's business; internal/records runs it in a test.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/pingcap/tidb/pkg/parser"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the parser's literals
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "grammar:", err)
		os.Exit(1)
	}
}

func run() error {
	var statements []string
	if err := json.NewDecoder(os.Stdin).Decode(&statements); err != nil {
		return err
	}
	p := parser.New()
	complaints := make(map[string]string)
	for _, s := range statements {
		switch parsed, _, err := p.ParseSQL(s); {
		case err != nil:
			complaints[s] = err.Error()
		case len(parsed) != 1:
			complaints[s] = fmt.Sprintf("%d statements", len(parsed))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(complaints)
}
