locals {
  names = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : "${a}${b}${c}"]]] # ERROR: Too much to evaluate
}

drill "billion-elements" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
