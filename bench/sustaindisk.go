package bench

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// disk measures what lies on the disk once the server has come to rest.
func (x *sustainRun) disk(ctx context.Context) error {
	x.say("letting the server come to rest")
	if err := x.srv.Rest(ctx, toldIn); err != nil {
		return err
	}
	u, err := x.look(ctx)
	if err != nil {
		return err
	}
	for _, one := range []struct{ name, records, seconds, says string }{
		{"sealing thread", meterSealedRecords, "eyrie_wal_seal_seconds_sum", "that one thread seals: what more cores do not move"},
		{"log's thread", "eyrie_wal_records_total", "eyrie_wal_encode_seconds_sum", "that one thread encodes for the log: what more cores do not move"},
	} {
		if took := u.meters[one.seconds]; took > 0 {
			x.rep.Add(one.name, u.meters[one.records]/took, "events/s", one.says+", as far as it was let run here")
		}
	}
	events := u.meters[meterStored]
	views, err := sizeOf(filepath.Join(x.srv.Data, "views"))
	if err != nil {
		return err
	}
	if sealed := u.meters[meterSealedRecords]; sealed > 0 {
		x.rep.Add("log on disk", u.meters[meterSealedBytes]/sealed, "B/event", "sealed, indexes included: times your events a day is what the log grows by")
	}
	x.rep.Add("log's unsealed end", u.meters[meterHot]/(1<<20), "MiB", "blocks that are not sealed yet: bounded, whatever the log's length")
	x.rep.Add("views on disk", float64(views)/events, "B/event", "what fleet, spans and series keep, as it lies in a server that runs: POST /v1/compact makes it less")
	x.rep.Add("written to the device", float64(u.server.Written)/events, "B/event", "log and views, all rewriting up to then included")
	return nil
}

// ignoreGone lets go of an error of a file that is gone since its folder was read.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sizeOf adds up the files below a folder, as far as they stay while it looks.
func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreGone(err)
		}
		st, err := d.Info()
		if err == nil {
			total += st.Size()
		}
		return ignoreGone(err)
	})
	return total, err
}
