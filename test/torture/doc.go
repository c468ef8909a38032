// Package torture hands the real binary what no drill file should be, and more drill files than anyone has: it must say
// what is wrong, soon, and in little memory. Nothing is held against a clock: processor time is compared with that of
// ordinary files, on the same machine.
package torture
