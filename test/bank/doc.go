// Package bank holds set-ups with known truth: good ones, bad ones, and ones of which no run can tell. Each is played
// through a whole run, and drill must come to the verdict, the reason, and the cause that are right.
package bank
