locals {
  limit = duration("90") # ERROR: Invalid function argument
  twice = local.limit * 2
  names = [for n in ["a", "a"] : n if n.x] # ERROR: Unsupported attribute
  where = { for n in ["a", "a"] : n => 1 } # ERROR: Duplicate object key
}

drill "local-fails" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.outage_seconds > local.twice
    error_message = "Writes have failed for more than ${local.limit} s."
  }
}
