// Grammar reads SQL statements, a JSON array of texts, and says which of them are no MySQL: it
// writes, for each of its grammars by name, an object of complaints by statement. The grammars are
// TiDB's, which is that of MySQL and not of MariaDB, and Vitess', which is what vtgate understands.
// It is a module of its own, so that what it needs is none of the proxy's business;
// internal/records runs it in a test.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/pingcap/tidb/pkg/parser"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the parser's literals
	"vitess.io/vitess/go/vt/sqlparser"
)

// grammar says what it has against a text that should be one statement.
type grammar func(statement string) error

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
	vtgate, err := vitess()
	if err != nil {
		return err
	}
	complaints := make(map[string]map[string]string)
	for name, of := range map[string]grammar{"TiDB": tidb(), "Vitess": vtgate} {
		complaints[name] = make(map[string]string)
		for _, s := range statements {
			if err := of(s); err != nil {
				complaints[name][s] = err.Error()
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(complaints)
}

func tidb() grammar {
	p := parser.New()
	return func(statement string) error {
		parsed, _, err := p.ParseSQL(statement)
		if err == nil && len(parsed) != 1 {
			err = fmt.Errorf("%d statements", len(parsed))
		}
		return err
	}
}

// vitess is strict: where its parser takes a definition of a table only in part, it complains.
func vitess() (grammar, error) {
	p, err := sqlparser.New(sqlparser.Options{})
	if err != nil {
		return nil, err
	}
	return func(statement string) error {
		_, err := p.ParseStrictDDL(statement)
		return err
	}, nil
}
