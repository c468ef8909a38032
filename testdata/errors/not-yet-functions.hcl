drill "not-yet-functions" {
  target "postgresql" "orders" {
    namespace = env("NAMESPACE") # ERROR: Not available yet
    selector  = "application=patroni"
    dsn       = file("dsn") # ERROR: Not available yet
  }

  fault "kill_primary" "orders" {}
}
