// Package query is the one query language of the product: `field:value`, lists,
// ranges, NOT, OR, parentheses and free text, parsed once and then matched
// against rows (an agent, a span, an event) through the small interface Row.
//
// It owns grammar and matching; which fields a row has is the row's business.
// parse.go holds the grammar, expr.go the tree and the matching, value.go what
// a row answers. A Query is immutable and safe for concurrent use.
package query
