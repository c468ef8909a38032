drill "text-without-quotes" {
  target "postgresql" "orders" {
    namespace = shop # ERROR: Unknown reference
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
