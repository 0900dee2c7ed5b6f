package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Make a key and print it, once."`
	List   tokenListCmd   `cmd:"" help:"List keys, without the keys themselves."`
	Revoke tokenRevokeCmd `cmd:"" help:"End a key at once; links that use it are closed."`
}

// token is a key as the API shows it.
type token struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Role    string   `json:"role"`
	Space   string   `json:"space"`
	Agents  []string `json:"agents"`
	Created int64    `json:"created_ms"`
	Expires int64    `json:"expires_ms"`
	Revoked int64    `json:"revoked_ms"`
	Key     string   `json:"key,omitempty"`
}

type tokenCreateCmd struct {
	serverFlags
	Name    string        `arg:"" help:"What the key is for."`
	Role    string        `default:"agent" enum:"agent,viewer,operator,admin" help:"agent (send events), viewer (read), operator (read and act), admin (all)."`
	Space   string        `default:"main" help:"Space the key is bound to; * for all (not for agents)."`
	Agents  []string      `placeholder:"GLOB" help:"Agent ids it may speak for, such as ci-*; none means any."`
	Expires time.Duration `placeholder:"TIME" help:"After how long it ends; none means never."`
	JSON    bool          `help:"Print JSON."`
}

func (c *tokenCreateCmd) Run(ctx context.Context) error {
	var t token
	err := c.call(ctx, "operator", "POST", "/v1/tokens", map[string]any{
		"name": c.Name, "role": c.Role, "space": c.Space, "agents": c.Agents, "expires_in_s": c.Expires.Seconds(),
	}, &t)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(t)
	}
	fmt.Println(t.Key)
	fmt.Fprintf(os.Stderr, "key %s for %s in space %s; it is shown this once\n", t.ID, t.Role, t.Space)
	return nil
}

type tokenListCmd struct {
	serverFlags
	JSON bool `help:"Print JSON."`
}

func (c *tokenListCmd) Run(ctx context.Context) error {
	var l struct {
		Items []token `json:"items"`
	}
	if err := c.call(ctx, "operator", "GET", "/v1/tokens", nil, &l); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(l.Items)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tROLE\tSPACE\tAGENTS\tSTATE")
	for _, t := range l.Items {
		state := "valid"
		switch {
		case t.Revoked != 0:
			state = "revoked " + day(t.Revoked)
		case t.Expires != 0 && t.Expires <= time.Now().UnixMilli():
			state = "expired " + day(t.Expires)
		case t.Expires != 0:
			state = "until " + day(t.Expires)
		}
		agents := "any"
		if len(t.Agents) > 0 {
			agents = fmt.Sprint(t.Agents)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, plain(t.Name), t.Role, plain(t.Space), plain(agents), state)
	}
	return w.Flush()
}

func day(ms int64) string { return time.UnixMilli(ms).Format("2006-01-02 15:04") }

type tokenRevokeCmd struct {
	serverFlags
	ID string `arg:"" help:"Id of the key, as token list shows it."`
}

func (c *tokenRevokeCmd) Run(ctx context.Context) error {
	if err := c.call(ctx, "operator", "DELETE", "/v1/tokens/"+c.ID, nil, nil); err != nil {
		return err
	}
	fmt.Printf("key %s is revoked\n", plain(c.ID))
	return nil
}
