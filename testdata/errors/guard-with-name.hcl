drill "guard-with-name" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard "shop" { # ERROR: Extraneous label for guard
    max_targets = 1
  }
}
