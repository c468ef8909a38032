drill "target-postgresql" {
  target "postgresql" "orders" {
    namespace  = ""     # ERROR: Empty namespace
    selector   = ""     # ERROR: Empty selector
    preset     = "oracle" # ERROR: Unknown preset
    write_rate = 1000   # ERROR: Write rate out of range
    dsn        = "postgres://app@orders/orders"
  }

  fault "kill_primary" "orders" {}
}
