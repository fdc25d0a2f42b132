//! WASI as plugins see it: all of it is there, and what is not granted is denied when it is called, as the error that the guest's language
//! expects. Most of that is wasmtime-wasi's own doing; here is what counts it.

use wasmtime::component::{Linker, LinkerInstance, Resource};
use wasmtime_wasi::cli::WasiCliView;
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorStat, ErrorCode as FileError, HostDescriptor, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, Network};
use wasmtime_wasi::p2::{DynOutputStream, FsError, FsResult, TcpSocket, UdpSocket};

use super::guest_state::GuestState;
use super::writing;

/// The version that wasmtime-wasi links. Guests of any 0.2 find it.
const VERSION: &str = "0.2.12";

type Functions<'a> = LinkerInstance<'a, GuestState>;

/// Links all of WASI 0.2.
pub(super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // What follows replaces single functions of it.
    linker.allow_shadowing(true);
    let name = |interface: &str| format!("wasi:{interface}@{VERSION}");
    link_environment(linker.instance(&name("cli/environment"))?)?;
    link_preopens(linker.instance(&name("filesystem/preopens"))?)?;
    link_files(linker.instance(&name("filesystem/types"))?)?;
    link_writing(linker.instance(&name("filesystem/types"))?)?;
    linker.instance(&name("sockets/tcp-create-socket"))?.func_wrap("create-tcp-socket", |store, (_,): (IpAddressFamily,)| {
        store.data().access.asks_for_network("a TCP socket");
        Ok((Err::<Resource<TcpSocket>, _>(ErrorCode::AccessDenied),))
    })?;
    linker.instance(&name("sockets/udp-create-socket"))?.func_wrap("create-udp-socket", |store, (_,): (IpAddressFamily,)| {
        store.data().access.asks_for_network("a UDP socket");
        Ok((Err::<Resource<UdpSocket>, _>(ErrorCode::AccessDenied),))
    })?;
    let lookup = "resolve-addresses";
    linker.instance(&name("sockets/ip-name-lookup"))?.func_wrap(lookup, |store, (_, host): (Resource<Network>, String)| {
        store.data().access.asks_for_network(&format!("the address of {host}"));
        Ok((Err::<Resource<ResolveAddressStream>, _>(ErrorCode::AccessDenied),))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

fn link_environment(mut functions: Functions<'_>) -> wasmtime::Result<()> {
    functions.func_wrap("get-environment", |mut store, ()| {
        store.data().access.asks_for_environment();
        Ok((environment::Host::get_environment(&mut store.data_mut().cli())?,))
    })
}

fn link_preopens(mut functions: Functions<'_>) -> wasmtime::Result<()> {
    functions.func_wrap("get-directories", |mut store, ()| {
        let state = store.data_mut();
        state.access.asks_for_directories();
        let directories = preopens::Host::get_directories(&mut state.filesystem())?;
        for (descriptor, guest) in &directories {
            state.access.holds(descriptor.rep(), guest.clone());
        }
        Ok((directories,))
    })
}

/// A function that changes something at a path.
macro_rules! change {
    ($functions:ident, $name:literal, $method:ident) => {
        $functions.func_wrap_async($name, |mut store, (dir, path): (Resource<Descriptor>, String)| {
            Box::new(async move {
                let state = store.data_mut();
                let place = state.access.place(dir.rep(), &path);
                let done = state.filesystem().$method(dir, path).await;
                Ok((state.access.settle(done, &place, true)?,))
            })
        })?
    };
}

/// The functions that find something by its path.
fn link_files(mut functions: Functions<'_>) -> wasmtime::Result<()> {
    type OpenAt = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);
    functions.func_wrap_async("[method]descriptor.open-at", |mut store, (dir, at, path, open, flags): OpenAt| {
        Box::new(async move {
            let state = store.data_mut();
            let place = state.access.place(dir.rep(), &path);
            let writes = open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) || flags.contains(DescriptorFlags::WRITE);
            let opened = state.filesystem().open_at(dir, at, path, open, flags).await;
            let opened = state.access.settle(opened, &place, writes)?;
            if let Ok(descriptor) = &opened {
                state.access.holds(descriptor.rep(), place);
            }
            Ok((opened,))
        })
    })?;
    functions.func_wrap_async("[method]descriptor.stat-at", |mut store, (dir, at, path): (Resource<Descriptor>, PathFlags, String)| {
        Box::new(async move {
            let state = store.data_mut();
            let place = state.access.place(dir.rep(), &path);
            let stat = state.filesystem().stat_at(dir, at, path).await;
            let stat: Result<DescriptorStat, _> = state.access.settle(stat, &place, false)?;
            Ok((stat,))
        })
    })?;
    change!(functions, "[method]descriptor.create-directory-at", create_directory_at);
    change!(functions, "[method]descriptor.remove-directory-at", remove_directory_at);
    change!(functions, "[method]descriptor.unlink-file-at", unlink_file_at);
    type TwoPaths = (Resource<Descriptor>, String, String);
    functions.func_wrap_async("[method]descriptor.symlink-at", |mut store, (dir, target, path): TwoPaths| {
        Box::new(async move {
            let state = store.data_mut();
            let place = state.access.place(dir.rep(), &path);
            // The guest could not follow it, but others who read there might.
            let leads_out = target.starts_with('/') || target.split('/').any(|part| part == "..");
            let done = if leads_out { Err(FileError::NotPermitted.into()) } else { state.filesystem().symlink_at(dir, target, path).await };
            Ok((state.access.settle(done, &place, true)?,))
        })
    })?;
    type RenameAt = (Resource<Descriptor>, String, Resource<Descriptor>, String);
    functions.func_wrap_async("[method]descriptor.rename-at", |mut store, (dir, path, to, target): RenameAt| {
        Box::new(async move {
            let state = store.data_mut();
            let place = state.access.place(dir.rep(), &path);
            let done = state.filesystem().rename_at(dir, path, to, target).await;
            Ok((state.access.settle(done, &place, true)?,))
        })
    })?;
    type LinkAt = (Resource<Descriptor>, PathFlags, String, Resource<Descriptor>, String);
    functions.func_wrap_async("[method]descriptor.link-at", |mut store, (dir, at, path, to, target): LinkAt| {
        Box::new(async move {
            let state = store.data_mut();
            let place = state.access.place(to.rep(), &target);
            let done = state.filesystem().link_at(dir, at, path, to, target).await;
            Ok((state.access.settle(done, &place, true)?,))
        })
    })
}

/// The functions that begin to write to a file.
fn link_writing(mut functions: Functions<'_>) -> wasmtime::Result<()> {
    type Begun = FsResult<Resource<DynOutputStream>>;
    let at_once = |state: &mut GuestState, begun: Begun| -> wasmtime::Result<Result<_, FileError>> {
        match begun {
            Ok(stream) => Ok(Ok(writing::at_once(state.filesystem().table, stream)?)),
            Err(error) => Ok(Err(FsError::downcast(error)?)),
        }
    };
    functions.func_wrap("[method]descriptor.write-via-stream", move |mut store, (file, from): (Resource<Descriptor>, u64)| {
        let begun = store.data_mut().filesystem().write_via_stream(file, from);
        Ok((at_once(store.data_mut(), begun)?,))
    })?;
    functions.func_wrap("[method]descriptor.append-via-stream", move |mut store, (file,): (Resource<Descriptor>,)| {
        let begun = store.data_mut().filesystem().append_via_stream(file);
        Ok((at_once(store.data_mut(), begun)?,))
    })
}
