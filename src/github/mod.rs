//! GitHub as the forge: reads through its API, writes only what cannot be found already.
