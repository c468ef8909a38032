drill "pod-kill" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url     = "ftp://checkout.shop.svc/" # ERROR: Invalid url
    rate    = 1000 # ERROR: Rate out of range
    timeout = "5s" # ERROR: Duration out of range
  }

  fault "pod_kill" "checkout" {}
}
