drill "windows-line-endings" {
  target "postgresql" "orders" {
    namespace = "Shöp" # ERROR: Invalid namespace
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
