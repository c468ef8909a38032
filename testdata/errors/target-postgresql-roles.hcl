drill "target-postgresql-roles" {
  target "postgresql" "orders" {
    namespace     = "orders.shop" # ERROR: Invalid namespace
    selector      = "app=orders"
    dsn           = "postgres://app:pw@:x/" # ERROR: Invalid dsn
    service       = "orders.shop" # ERROR: Invalid service
    preset        = "patrony" # ERROR: Unknown preset
    role_label    = "the role" # ERROR: Invalid label, Two ways to read roles
    primary_value = "is primary" # ERROR: Invalid label
    write_rate    = 0   # ERROR: Write rate out of range
    fresh_rate    = 1.5 # ERROR: Unsuitable value type
    read_service  = secret("orders-app", "reads") # ERROR: Misplaced secret
  }

  fault "kill_primary" "orders" {}
}
