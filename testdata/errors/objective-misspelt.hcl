drill "objective-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_tiem = "30s" # ERROR: Unsupported argument
  }
}
