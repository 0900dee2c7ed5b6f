package blob

import "errors"

var (
	// ErrNotFound is returned for a blob that the space does not have.
	ErrNotFound = errors.New("there is no such blob")
	// ErrTooLarge is returned by Put for content of more than SizeMax bytes.
	ErrTooLarge = errors.New("a blob has at most 16777216 bytes")
	// ErrDamaged is returned, wrapped, for a blob whose file is not what was written.
	ErrDamaged = errors.New("the blob is damaged")
	// ErrSpace is returned by Put for a space or a media type of more than 255 bytes.
	ErrSpace = errors.New("the names of a space and of a media type have at most 255 bytes")
)

type damage struct{ msg string }

func damaged(msg string) error { return &damage{msg} }

func (d *damage) Error() string { return ErrDamaged.Error() + ": " + d.msg }

func (d *damage) Is(err error) bool { return err == ErrDamaged }
