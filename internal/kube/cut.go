package kube

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what goes into a record, whoever wrote it. etcd refuses an object of more than 1.5 MiB, and a record that
// cannot be written has lost its verdict.
const (
	MaxText = 2 << 10 // bytes of one text
	MaxList = 20      // entries of a list of texts
)

// CutText bounds a text, and says how much of it is missing. The result has at most `most` bytes, and is valid UTF-8.
func CutText(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	keep := max(0, most-len(fmt.Sprintf("… (%d bytes more)", len(text))))
	for keep > 0 && !utf8.RuneStart(text[keep]) {
		keep--
	}
	text = fmt.Sprintf("%s… (%d bytes more)", strings.ToValidUTF8(text[:keep], "?"), len(text)-keep)
	if len(text) > most { // too little room to say so
		return text[:0]
	}
	return text
}

// CutTexts bounds a list of texts and each of them. The last one says how many are missing.
func CutTexts(texts []string, most int) []string {
	if texts == nil {
		return nil
	}
	shorter := make([]string, 0, min(len(texts), most+1))
	for _, t := range texts[:min(len(texts), most)] {
		shorter = append(shorter, CutText(t, MaxText))
	}
	if more := len(texts) - most; more > 0 {
		shorter = append(shorter, fmt.Sprintf("… and %d more", more))
	}
	return shorter
}

// CutName bounds a name. Two long names that begin alike stay apart, by a hash.
func CutName(name string, most int) string {
	valid := strings.ToValidUTF8(name, "\uFFFD")
	if len(valid) <= most {
		return valid
	}
	sum := sha256.Sum256([]byte(name))
	end := "…" + hex.EncodeToString(sum[:4])
	keep := max(0, most-len(end))
	for keep > 0 && !utf8.RuneStart(valid[keep]) {
		keep--
	}
	return valid[:keep] + end
}
