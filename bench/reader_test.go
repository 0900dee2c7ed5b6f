//go:build linux

package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Questions that have no answer at the end have waited up to then, those that were
// never put for the others too.
func TestReaderOfOneThatHangs(t *testing.T) {
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer cancel()
	r := &reader{t: &Target{Web: strings.TrimPrefix(srv.URL, "http://"), Key: func(string) (string, error) { return "k", nil }}, every: 10 * time.Millisecond}
	r.run(ctx)
	took, failed, why := r.result()
	if took.Count() < 30 || took.Quantile(0.5) < 100*time.Millisecond || failed > 0 {
		t.Errorf("%d questions, the median waited %v; %d failed: %s", took.Count(), took.Quantile(0.5), failed, why)
	}
}
