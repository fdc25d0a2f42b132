//! A component for some other host.

mod other {
    wit_bindgen::generate!({
        inline: "
            package evil:kitchen@1.0.0;
            interface toaster { toast: func(slices: u32) -> string; }
            world kitchen { export toaster; }
        ",
    });
}

struct Kitchen;

impl other::exports::evil::kitchen::toaster::Guest for Kitchen {
    fn toast(slices: u32) -> String {
        format!("{slices} slices")
    }
}

other::export!(Kitchen with_types_in other);
