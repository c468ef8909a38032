drill “syntax-typographic-quotes” { # ERROR: Invalid character
}
