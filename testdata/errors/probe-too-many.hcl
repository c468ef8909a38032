drill "probe-too-many" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
  probe "http" "p1" {
    url = "http://orders.shop/1"
  }
  probe "http" "p2" {
    url = "http://orders.shop/2"
  }
  probe "http" "p3" {
    url = "http://orders.shop/3"
  }
  probe "http" "p4" {
    url = "http://orders.shop/4"
  }
  probe "http" "p5" {
    url = "http://orders.shop/5"
  }
  probe "http" "p6" {
    url = "http://orders.shop/6"
  }
  probe "http" "p7" {
    url = "http://orders.shop/7"
  }
  probe "http" "p8" {
    url = "http://orders.shop/8"
  }
  probe "http" "p9" {
    url = "http://orders.shop/9"
  }
  probe "http" "p10" {
    url = "http://orders.shop/10"
  }
  probe "http" "p11" {
    url = "http://orders.shop/11"
  }
  probe "http" "p12" {
    url = "http://orders.shop/12"
  }
  probe "http" "p13" {
    url = "http://orders.shop/13"
  }
  probe "http" "p14" {
    url = "http://orders.shop/14"
  }
  probe "http" "p15" {
    url = "http://orders.shop/15"
  }
  probe "http" "p16" {
    url = "http://orders.shop/16"
  }
  probe "http" "p17" {
    url = "http://orders.shop/17"
  }
  probe "http" "p18" {
    url = "http://orders.shop/18"
  }
  probe "http" "p19" {
    url = "http://orders.shop/19"
  }
  probe "http" "p20" {
    url = "http://orders.shop/20"
  }
  probe "http" "p21" {
    url = "http://orders.shop/21"
  }
  probe "http" "p22" {
    url = "http://orders.shop/22"
  }
  probe "http" "p23" {
    url = "http://orders.shop/23"
  }
  probe "http" "p24" {
    url = "http://orders.shop/24"
  }
  probe "http" "p25" {
    url = "http://orders.shop/25"
  }
  probe "http" "p26" {
    url = "http://orders.shop/26"
  }
  probe "http" "p27" {
    url = "http://orders.shop/27"
  }
  probe "http" "p28" {
    url = "http://orders.shop/28"
  }
  probe "http" "p29" {
    url = "http://orders.shop/29"
  }
  probe "http" "p30" {
    url = "http://orders.shop/30"
  }
  probe "http" "p31" {
    url = "http://orders.shop/31"
  }
  probe "http" "p32" {
    url = "http://orders.shop/32"
  }
  probe "http" "p33" {
    url = "http://orders.shop/33"
  }
  probe "http" "p34" {
    url = "http://orders.shop/34"
  }
  probe "http" "p35" {
    url = "http://orders.shop/35"
  }
  probe "http" "p36" {
    url = "http://orders.shop/36"
  }
  probe "http" "p37" {
    url = "http://orders.shop/37"
  }
  probe "http" "p38" {
    url = "http://orders.shop/38"
  }
  probe "http" "p39" {
    url = "http://orders.shop/39"
  }
  probe "http" "p40" {
    url = "http://orders.shop/40"
  }
  probe "http" "p41" {
    url = "http://orders.shop/41"
  }
  probe "http" "p42" {
    url = "http://orders.shop/42"
  }
  probe "http" "p43" {
    url = "http://orders.shop/43"
  }
  probe "http" "p44" {
    url = "http://orders.shop/44"
  }
  probe "http" "p45" {
    url = "http://orders.shop/45"
  }
  probe "http" "p46" {
    url = "http://orders.shop/46"
  }
  probe "http" "p47" {
    url = "http://orders.shop/47"
  }
  probe "http" "p48" {
    url = "http://orders.shop/48"
  }
  probe "http" "p49" {
    url = "http://orders.shop/49"
  }
  probe "http" "p50" {
    url = "http://orders.shop/50"
  }
  probe "http" "p51" {
    url = "http://orders.shop/51"
  }
  probe "http" "p52" {
    url = "http://orders.shop/52"
  }
  probe "http" "p53" {
    url = "http://orders.shop/53"
  }
  probe "http" "p54" {
    url = "http://orders.shop/54"
  }
  probe "http" "p55" {
    url = "http://orders.shop/55"
  }
  probe "http" "p56" {
    url = "http://orders.shop/56"
  }
  probe "http" "p57" {
    url = "http://orders.shop/57"
  }
  probe "http" "p58" {
    url = "http://orders.shop/58"
  }
  probe "http" "p59" {
    url = "http://orders.shop/59"
  }
  probe "http" "p60" {
    url = "http://orders.shop/60"
  }
  probe "http" "p61" {
    url = "http://orders.shop/61"
  }
  probe "http" "p62" {
    url = "http://orders.shop/62"
  }
  probe "http" "p63" {
    url = "http://orders.shop/63"
  }
  probe "http" "p64" {
    url = "http://orders.shop/64"
  }
  probe "http" "p65" { # ERROR: Too many blocks
    url = "http://orders.shop/65"
  }
  probe "http" "p66" {
    url = "http://orders.shop/66"
  }
}
